// A folder that appears under its name only when it is whole: its files are written into
// NAME.part-PID beside it, which is renamed at the end, and otherwise gone with all that it holds.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "platform/file.h"

namespace enxuto {

class OutputFolder {
 public:
  // kUsage where there is something of that name already; kFailed where its disk has no room for
  // `bytes`.
  static Result<OutputFolder> create(const std::string& path, uint64_t bytes);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // A file of this folder, whole by its own commit().
  Result<OutputFile> file(const std::string& name);
  Status commit();

 private:
  OutputFolder(std::string path, std::string part_path)
      : path_(std::move(path)), part_path_(std::move(part_path)) {}
  std::string path_, part_path_;  // the second empty: nothing to take away
  std::vector<std::string> files_;
};

}  // namespace enxuto
