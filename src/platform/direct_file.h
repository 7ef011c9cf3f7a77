// Reads of large, aligned pieces straight into memory of ours: past the page cache where the file
// system allows, so that no byte is charged twice; elsewhere through it, given back at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace enxuto {

class DirectFile {
 public:
  // Offsets, sizes and addresses are multiples of this.
  static constexpr uint64_t kAlignment = 4096;

  static Result<std::unique_ptr<DirectFile>> open(const std::string& path);
  ~DirectFile();
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  // Fills [data, data + size) from `offset` on; what lies past the end of the file stays as it was,
  // `needed` bytes must not. A file that was written to since it was opened is an error.
  Status read(uint64_t offset, uint8_t* data, uint64_t size, uint64_t needed);
  bool direct() const { return direct_; }

 private:
  // By what the system tells a file's states apart.
  struct Version {
    int64_t bytes, seconds, nanoseconds;
    bool operator==(const Version&) const = default;
  };
  static Version version_of(int fd);

  DirectFile(std::string path, int fd, bool direct)
      : path_(std::move(path)), version_(version_of(fd)), fd_(fd), direct_(direct) {}
  std::string path_;
  Version version_;
  int fd_;
  bool direct_;
};

}  // namespace enxuto
