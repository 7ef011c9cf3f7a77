// What the way back computes layers again from: the input of each layer for each text, in bf16, in
// a file without a name.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "platform/scratch_file.h"

namespace enxuto {

class Checkpoints {
 public:
  // buffer: checkpoint_bytes() of them (plan/gradient_layout.h); it begins where a page does.
  static Result<Checkpoints> create(const std::string& folder, std::span<uint8_t> buffer,
                                    size_t count);

  Status store(size_t i, std::span<const float> values);
  Status load(size_t i, std::span<float> values) const;

 private:
  Checkpoints(ScratchFile file, std::span<uint8_t> buffer)
      : file_(std::move(file)), buffer_(buffer) {}
  ScratchFile file_;
  std::span<uint8_t> buffer_;
};

}  // namespace enxuto
