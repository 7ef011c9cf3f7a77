// A file that grows line by line while work goes on, for whoever wants to look. Unlike OutputFile
// it is there from the start, and what was written stays whatever happens next.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace enxuto {

class LogFile {
 public:
  // The file's first kept_bytes stay, where it has so many; what follows them goes.
  static Result<LogFile> open(const std::string& path, uint64_t kept_bytes);
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&&) = delete;
  ~LogFile();

  Status append(std::string_view text);  // written through at once

 private:
  LogFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
};

}  // namespace enxuto
