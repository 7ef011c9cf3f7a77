#include "platform/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "platform/faults.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// "a/b/" is a/b.
std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Status check_room(const std::string& path, const std::string& part_path, uint64_t bytes) {
  struct statvfs disk;
  if (::statvfs(part_path.c_str(), &disk) != 0) return {};
  const uint64_t free = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (free >= bytes) return {};
  return Status::failed(fmt::format("{} are to be written, and the disk of {} has {} left",
                                    format_bytes(bytes), path, format_bytes(free)),
                        "free some space, or write elsewhere");
}

void sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

Result<OutputFolder> OutputFolder::create(const std::string& name, uint64_t bytes) {
  const std::string path = without_slashes(name);
  if (file_exists(path))
    return Status::usage(fmt::format("{} exists already", path),
                         "choose another name, or take it away");
  std::string part = fmt::format("{}.part-{}", path, ::getpid());
  if (fault_here(FaultPoint::kWrite) ? (errno = EIO, true) : ::mkdir(part.c_str(), 0755) != 0)
    return Status::failed(fmt::format("cannot write {}: {}", path, std::strerror(errno)),
                          "check that the folder it is to lie in exists and may be written");
  add_unfinished_file(part);
  OutputFolder folder(path, std::move(part));
  TRY(check_room(path, folder.part_path_, bytes));
  return folder;
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : path_(std::move(other.path_)),
      part_path_(std::exchange(other.part_path_, {})),
      files_(std::move(other.files_)) {}

OutputFolder::~OutputFolder() {
  if (part_path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(part_path_, ignored);
  for (const std::string& file : files_) remove_unfinished_file(file);
  remove_unfinished_file(part_path_);
}

Result<OutputFile> OutputFolder::file(const std::string& name) {
  files_.push_back(part_path_ + "/" + name);
  add_unfinished_file(files_.back());
  return OutputFile::create(files_.back(), false);
}

Status OutputFolder::commit() {
  if (fault_here(FaultPoint::kWrite) ? (errno = EIO, true)
                                     : ::rename(part_path_.c_str(), path_.c_str()) != 0)
    return Status::failed(fmt::format("cannot name {}: {}", path_, std::strerror(errno)));
  for (const std::string& file : files_) remove_unfinished_file(file);
  remove_unfinished_file(part_path_);
  part_path_.clear();
  const std::string parent = std::filesystem::path(path_).parent_path().string();
  sync_folder(parent.empty() ? "." : parent);
  return {};
}

}  // namespace enxuto
