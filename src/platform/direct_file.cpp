#include "platform/direct_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "platform/faults.h"

namespace enxuto {
namespace {

// One call's worth: long enough for the disk, short enough to be interrupted between.
constexpr uint64_t kMaxRead = 8 << 20;

}  // namespace

Result<std::unique_ptr<DirectFile>> DirectFile::open(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  const bool direct = fd >= 0;
  if (!direct) fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return Status::bad_input(fmt::format("cannot open {}: {}", path, std::strerror(errno)),
                             "check the name and its permissions");
  return std::unique_ptr<DirectFile>(new DirectFile(path, fd, direct));
}

DirectFile::Version DirectFile::version_of(int fd) {
  struct stat now = {};
  if (::fstat(fd, &now) != 0) return {-1, 0, 0};
  return {now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec};
}

DirectFile::~DirectFile() { ::close(fd_); }

Status DirectFile::read(uint64_t offset, uint8_t* data, uint64_t size, uint64_t needed) {
  uint64_t done = 0;
  while (done < size) {
    const uint64_t piece = std::min(size - done, kMaxRead);
    const ssize_t got = fault_here(FaultPoint::kRead)
                            ? (errno = EIO, -1)
                            : ::pread(fd_, data + done, piece, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EINVAL &&
        direct_) {  // a file system that opens so, but does not read so
      ::fcntl(fd_, F_SETFL, 0);
      direct_ = false;
      continue;
    }
    if (got < 0)
      return Status::failed(
          fmt::format("cannot read {} at byte {}: {}", path_, offset + done, std::strerror(errno)),
          "the disk may be failing; copy the file elsewhere");
    if (got == 0) break;
    done += static_cast<uint64_t>(got);
    if (!direct_)
      ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(done),
                      POSIX_FADV_DONTNEED);
    // A direct read that ends off alignment has met the end of the file.
    if (direct_ && done % kAlignment != 0) break;
  }
  if (done < needed || version_of(fd_) != version_)
    return Status::failed(fmt::format("{} was changed while it was in use", path_),
                          "do not write to a model that is running");
  return {};
}

}  // namespace enxuto
