#include "platform/log_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/faults.h"

namespace enxuto {
namespace {

Status cannot_write(const std::string& path) {
  return Status::failed(fmt::format("cannot write {}: {}", path, std::strerror(errno)),
                        "check that its folder may be written and the disk has room");
}

}  // namespace

Result<LogFile> LogFile::open(const std::string& path, uint64_t kept_bytes) {
  const int fd = fault_here(FaultPoint::kWrite)
                     ? (errno = EIO, -1)
                     : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return cannot_write(path);
  LogFile file(path, fd);
  const off_t size = ::lseek(fd, 0, SEEK_END);
  if (size > 0 && ::ftruncate(fd, std::min(size, static_cast<off_t>(kept_bytes))) != 0)
    return cannot_write(path);
  return file;
}

LogFile::LogFile(LogFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

LogFile::~LogFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status LogFile::append(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put =
        fault_here(FaultPoint::kWrite) ? (errno = EIO, -1) : ::write(fd_, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return cannot_write(path_);
    text.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

}  // namespace enxuto
