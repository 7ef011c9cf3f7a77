#include "platform/work_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "platform/file.h"

namespace enxuto {

namespace fs = std::filesystem;

Result<WorkFolder> WorkFolder::open(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    return Status::failed(fmt::format("cannot make the folder {}: {}", path, std::strerror(errno)),
                          "check that the folder it lies in exists and may be written");
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return Status::usage(fmt::format("cannot open the folder {}: {}", path, std::strerror(errno)),
                         "name another folder");
  WorkFolder folder(path, fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return folder;
  if (errno == EWOULDBLOCK)
    return Status::failed(fmt::format("{} is in use by another process", path),
                          "wait until that has ended, or name another folder");
  return Status::failed(fmt::format("cannot lock {}: {}", path, std::strerror(errno)),
                        "name a folder on a local disk");
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

WorkFolder::~WorkFolder() {
  if (fd_ >= 0) ::close(fd_);
}

std::vector<std::string> WorkFolder::names() const {
  std::vector<std::string> names;
  std::error_code ignored;
  for (auto it = fs::directory_iterator(path_, ignored); it != fs::directory_iterator();
       it.increment(ignored))
    names.push_back(it->path().filename().string());
  std::ranges::sort(names);
  return names;
}

bool WorkFolder::has(const std::string& name) const { return file_exists(path(name)); }

Status WorkFolder::remove(const std::string& name) const {
  if (::unlink(path(name).c_str()) == 0 || errno == ENOENT) return {};
  return Status::failed(fmt::format("cannot remove {}: {}", path(name), std::strerror(errno)));
}

void WorkFolder::remove_if_empty() const { ::rmdir(path_.c_str()); }

uint64_t WorkFolder::bytes(const std::string& name) const {
  std::error_code error;
  const uint64_t size = fs::file_size(path(name), error);
  return error ? 0 : size;
}

uint64_t WorkFolder::bytes() const {
  uint64_t sum = 0;
  for (const std::string& name : names()) sum += bytes(name);
  return sum;
}

uint64_t WorkFolder::free_bytes() const {
  std::error_code error;
  const fs::space_info space = fs::space(path_, error);
  return error ? UINT64_MAX : space.available;
}

}  // namespace enxuto
