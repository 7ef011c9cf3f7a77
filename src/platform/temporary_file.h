// A name beside an output for a file that a command needs for a while: whatever has it at the end
// is gone, however the end comes.
#pragma once

#include <string>

#include "base/status.h"

namespace enxuto {

class TemporaryFile {
 public:
  // OUTPUT.WHAT-PID; no file yet.
  TemporaryFile(const std::string& output, const char* what);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  const std::string& path() const { return path_; }
  // It is the output from here on, in the place of what had that name.
  Status become(const std::string& output);

 private:
  std::string path_;
};

}  // namespace enxuto
