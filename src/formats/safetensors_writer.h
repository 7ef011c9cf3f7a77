// Writes a safetensors file: announce every tensor, begin, then their bytes in the announced order,
// in pieces of any size.
//   SafetensorsWriter w(out); w.add(name, type, shape); …; w.begin(); w.write(bytes)…; w.finish();
#pragma once

#include <span>
#include <string>

#include "base/status.h"
#include "formats/gguf.h"
#include "platform/file.h"

namespace enxuto {

class SafetensorsWriter {
 public:
  explicit SafetensorsWriter(OutputFile& out) : out_(out) {}
  // type: F32, F16 or BF16; shape: contiguous dimension first, as everywhere here.
  void add(const std::string& name, Type type, std::span<const uint64_t> shape);
  uint64_t file_bytes() const;  // known before a byte is written
  Status begin();
  Status write(ByteView bytes);
  Status finish();  // kFailed where bytes are missing or too many

 private:
  std::string header() const;
  OutputFile& out_;
  std::string entries_;
  uint64_t data_bytes_ = 0, written_ = 0;
};

}  // namespace enxuto
