#include "platform/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "platform/faults.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr uint64_t kBufferBytes = 1 << 20;

std::string reason() { return std::strerror(errno); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Result<uint64_t> open_regular(const std::string& path, int fd, int64_t* modified = nullptr) {
  if (fd < 0)
    return Status::bad_input(fmt::format("cannot open {}: {}", path, reason()),
                             "check the name and its permissions");
  struct stat info;
  if (fault_here(FaultPoint::kRead) || ::fstat(fd, &info) != 0)
    return Status::failed(fmt::format("cannot read {}: {}", path, reason()));
  if (S_ISDIR(info.st_mode))
    return Status::bad_input(fmt::format("{} is a folder, not a file", path));
  if (!S_ISREG(info.st_mode))
    return Status::bad_input(fmt::format("{} is not a regular file", path));
  if (modified) *modified = info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec;
  return static_cast<uint64_t>(info.st_size);
}

// Fewer bytes than asked for only at the end of the file.
Result<uint64_t> read_all(const std::string& path, int fd, char* data, uint64_t size) {
  uint64_t done = 0;
  while (done < size) {
    const ssize_t got =
        fault_here(FaultPoint::kRead) ? (errno = EIO, -1) : ::read(fd, data + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::failed(fmt::format("cannot read {}: {}", path, reason()));
    if (got == 0) break;
    done += static_cast<uint64_t>(got);
  }
  return done;
}

std::string folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSIGN_OR_RETURN(const uint64_t size, open_regular(path, fd.get()));
  if (size == 0) return Status::bad_input(fmt::format("{} is empty", path));
  void* data = fault_here(FaultPoint::kAllocation)
                   ? MAP_FAILED
                   : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return Status::failed(fmt::format("cannot map {}: {}", path, reason()));
  return std::shared_ptr<const MappedFile>(
      new MappedFile(path, static_cast<const uint8_t*>(data), size));
}

MappedFile::~MappedFile() { ::munmap(const_cast<uint8_t*>(data_), size_); }

void MappedFile::expect_reuse() const {
  ::madvise(const_cast<uint8_t*>(data_), size_, MADV_HUGEPAGE);
}

void MappedFile::set_apart(ByteView part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data()) & ~(page - 1);
  const auto end = reinterpret_cast<uintptr_t>(part.data() + part.size());
  if (end <= begin) return;
  for (const int advice : {MADV_RANDOM, MADV_NOHUGEPAGE})
    ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

void MappedFile::let_go() const {
  if (data_) ::madvise(const_cast<uint8_t*>(data_), size_, MADV_DONTNEED);
}

void MappedFile::count_read(uint64_t bytes, uint64_t kept) const {
  if (read_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes < kept) return;
  read_bytes_.store(0, std::memory_order_relaxed);
  let_go();
}

Result<InputFile> InputFile::open(const std::string& path) {
  InputFile file(path, ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSIGN_OR_RETURN(file.size_, open_regular(path, file.fd_, &file.modified_));
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      modified_(other.modified_) {}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<uint64_t> InputFile::read(std::span<char> out) {
  return read_all(path_, fd_, out.data(), out.size());
}

Result<std::string> read_text_file(const std::string& path, uint64_t limit) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSIGN_OR_RETURN(const uint64_t size, open_regular(path, fd.get()));
  if (size > limit)
    return Status::bad_input(
        fmt::format("{} has {} bytes; at most {} are read", path, size, limit));
  std::string text(size, '\0');
  ASSIGN_OR_RETURN(const uint64_t got, read_all(path, fd.get(), text.data(), size));
  if (got < size) return Status::failed(fmt::format("{} became shorter while it was read", path));
  return text;
}

Result<OutputFile> OutputFile::create(const std::string& path, bool replace) {
  if (is_directory(path))
    return Status::usage(fmt::format("{} is a folder", path), "name a file to write");
  TRY(check_is_free(path, replace));
  std::string part = fmt::format("{}.part-{}", path, ::getpid());
  const int fd = fault_here(FaultPoint::kWrite)
                     ? (errno = EIO, -1)
                     : ::open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    return Status::failed(fmt::format("cannot write {}: {}", path, reason()),
                          "check that the folder exists and may be written");
  add_unfinished_file(part);
  OutputFile file(path, std::move(part), fd);
  file.buffer_ = std::make_unique<uint8_t[]>(kBufferBytes);
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_path_(std::move(other.part_path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      flushed_(other.flushed_),
      reserved_(other.reserved_),
      buffer_(std::move(other.buffer_)) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(part_path_.c_str());
  remove_unfinished_file(part_path_);
}

Status OutputFile::write_through(const uint8_t* data, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t put = fault_here(FaultPoint::kWrite)
                            ? (errno = ENOSPC, -1)
                            : ::pwrite(fd_, data, size, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      return Status::failed(fmt::format("cannot write {}: {}", path_, reason()),
                            "free some space, or write elsewhere");
    data += put, offset += static_cast<uint64_t>(put), size -= static_cast<uint64_t>(put);
  }
  return {};
}

Status OutputFile::write(ByteView bytes) {
  const uint64_t held = size_ - flushed_;
  if (held + bytes.size() > kBufferBytes) TRY(flush());
  if (bytes.size() > kBufferBytes) {
    TRY(write_through(bytes.data(), bytes.size(), size_));
    size_ += bytes.size();
    flushed_ = size_;
    return {};
  }
  if (!bytes.empty()) std::memcpy(buffer_.get() + (size_ - flushed_), bytes.data(), bytes.size());
  size_ += bytes.size();
  return {};
}

Status OutputFile::write(std::string_view text) {
  return write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Status OutputFile::write_at(uint64_t offset, ByteView bytes) {
  TRY(flush());
  return write_through(bytes.data(), bytes.size(), offset);
}

Status OutputFile::flush() {
  TRY(write_through(buffer_.get(), size_ - flushed_, flushed_));
  flushed_ = size_;
  return {};
}

Status OutputFile::reserve(uint64_t bytes) {
  const bool full = fault_here(FaultPoint::kWrite) ||
                    (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) != 0 &&
                     (errno == ENOSPC || errno == EDQUOT));
  if (full)
    return Status::failed(fmt::format("cannot write {}: the disk is full", path_),
                          "free some space, or write elsewhere");
  reserved_ = true;
  return {};
}

Status OutputFile::commit() {
  TRY(flush());
  // Gives back what was reserved and not needed.
  if (reserved_ && ::ftruncate(fd_, static_cast<off_t>(size_)) != 0)
    return Status::failed(fmt::format("cannot write {}: {}", path_, reason()));
  if (fault_here(FaultPoint::kWrite) || ::fsync(fd_) != 0)
    return Status::failed(fmt::format("cannot sync {}: {}", path_, reason()));
  if (fault_here(FaultPoint::kWrite) || ::rename(part_path_.c_str(), path_.c_str()) != 0)
    return Status::failed(fmt::format("cannot name {}: {}", path_, reason()));
  remove_unfinished_file(part_path_);
  ::close(std::exchange(fd_, -1));
  Descriptor folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) ::fsync(folder.get());
  return {};
}

Status write_text_file(const std::string& path, std::string_view text, bool replace) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, replace));
  TRY(file.write(text));
  return file.commit();
}

bool file_exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

Status check_is_free(const std::string& path, bool replace) {
  if (replace || !file_exists(path)) return {};
  return Status::usage(fmt::format("{} exists already", path),
                       "choose another name, or say --force to replace it");
}

bool is_directory(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat x, y;
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}

}  // namespace enxuto
