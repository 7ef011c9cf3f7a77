// A folder that a command keeps between its runs, and has to itself for as long as it runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace enxuto {

class WorkFolder {
 public:
  // Makes it where it is missing. kFailed where another process has it open.
  static Result<WorkFolder> open(const std::string& path);
  // Of a process that this one works together with, and that has it to itself.
  static WorkFolder shared(const std::string& path) { return {path, -1}; }
  WorkFolder(WorkFolder&& other) noexcept;
  WorkFolder& operator=(WorkFolder&& other) = delete;
  ~WorkFolder();

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  std::vector<std::string> names() const;  // sorted
  bool has(const std::string& name) const;
  Status remove(const std::string& name) const;  // it may be missing
  void remove_if_empty() const;                  // the folder itself, at the end
  uint64_t bytes(const std::string& name) const;
  uint64_t bytes() const;       // of all its files
  uint64_t free_bytes() const;  // that its disk still has for us

 private:
  WorkFolder(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
};

}  // namespace enxuto
