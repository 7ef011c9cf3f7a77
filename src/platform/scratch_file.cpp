#include "platform/scratch_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "platform/faults.h"

namespace enxuto {
namespace {

Status cannot_use(const std::string& folder, const std::string& todo) {
  return Status::failed(
      fmt::format("cannot use a temporary file in {}: {}", folder, std::strerror(errno)), todo);
}

// Never seen by others, or only for as long as it takes to remove its name.
int open_nameless(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = folder + "/enxuto-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

// Past the page cache from now on, where the file system reads and writes so.
void go_direct(int fd) {
  alignas(ScratchFile::kAlignment) static constexpr uint8_t kProbe[ScratchFile::kAlignment] = {};
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) return;
  if (::pwrite(fd, kProbe, sizeof kProbe, 0) < 0) ::fcntl(fd, F_SETFL, flags);
}

}  // namespace

Result<ScratchFile> ScratchFile::create(const std::string& folder, uint64_t bytes) {
  const int fd = fault_here(FaultPoint::kWrite) ? (errno = EIO, -1) : open_nameless(folder);
  if (fd < 0) return cannot_use(folder, "check that the folder may be written");
  ScratchFile file(folder, fd);
  const bool full = fault_here(FaultPoint::kWrite)
                        ? (errno = ENOSPC, true)
                        : ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0 &&
                              errno != EOPNOTSUPP && errno != ENOSYS;
  if (full) return cannot_use(folder, fmt::format("free {} there", format_bytes(bytes)));
  go_direct(fd);
  return file;
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : folder_(std::move(other.folder_)), fd_(std::exchange(other.fd_, -1)) {}

ScratchFile& ScratchFile::operator=(ScratchFile&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(fd_, other.fd_);
  return *this;
}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status ScratchFile::write(uint64_t offset, const uint8_t* data, uint64_t size) {
  while (size > 0) {
    const ssize_t put = fault_here(FaultPoint::kWrite)
                            ? (errno = ENOSPC, -1)
                            : ::pwrite(fd_, data, size, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return cannot_use(folder_, "free some space there");
    data += put, offset += static_cast<uint64_t>(put), size -= static_cast<uint64_t>(put);
  }
  return {};
}

Status ScratchFile::read(uint64_t offset, uint8_t* data, uint64_t size) const {
  while (size > 0) {
    const ssize_t got = fault_here(FaultPoint::kRead)
                            ? (errno = EIO, -1)
                            : ::pread(fd_, data, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = EIO;
    if (got <= 0) return cannot_use(folder_, "the disk may be failing: write elsewhere");
    data += got, offset += static_cast<uint64_t>(got), size -= static_cast<uint64_t>(got);
  }
  return {};
}

}  // namespace enxuto
