// A file without a name, in the folder of an output: what does not fit into memory waits there. It
// is gone with the process, however that ends.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace enxuto {

class ScratchFile {
 public:
  // Offsets, sizes and addresses are multiples of this: pages of it are not kept in memory where
  // the file system allows.
  static constexpr uint64_t kAlignment = 4096;

  // `bytes` are claimed from the disk at once, so that a full one is found before the work.
  static Result<ScratchFile> create(const std::string& folder, uint64_t bytes);
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&& other) noexcept;
  ~ScratchFile();

  Status write(uint64_t offset, const uint8_t* data, uint64_t size);
  Status read(uint64_t offset, uint8_t* data, uint64_t size) const;

 private:
  ScratchFile(std::string folder, int fd) : folder_(std::move(folder)), fd_(fd) {}
  std::string folder_;
  int fd_ = -1;
};

}  // namespace enxuto
