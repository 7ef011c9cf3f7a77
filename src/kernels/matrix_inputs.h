// For tests: matrices of every type, and the scratch that kernels ask for.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "codecs/codec.h"
#include "kernels/kernels.h"
#include "kernels/random_floats.h"

namespace enxuto {

inline constexpr Type kTypes[] = {
    Type::F32,    Type::F16,     Type::BF16,  Type::Q4_0,  Type::Q4_1,  Type::Q5_0,    Type::Q5_1,
    Type::Q8_0,   Type::Q2_0,    Type::Q2_K,  Type::Q3_K,  Type::Q4_K,  Type::Q5_K,    Type::Q6_K,
    Type::IQ4_NL, Type::IQ4_XS,  Type::MXFP4, Type::IQ1_S, Type::IQ1_M, Type::IQ2_XXS, Type::IQ2_XS,
    Type::IQ2_S,  Type::IQ3_XXS, Type::IQ3_S, Type::TQ2_0, Type::TQ1_0, Type::Q1_0,    Type::NVFP4,
    Type::SF16,   Type::SQ8_0,   Type::SQ4_NL};

// Every seventh row is the same: encoding takes longer than all else here.
struct Matrix {
  Matrix(Type type, int64_t rows, int64_t columns, uint32_t seed)
      : codec(*find_codec(type)), row_bytes(codec.row_bytes(static_cast<uint64_t>(columns))) {
    // One byte off, and not a byte more than the matrix: unaligned, and read past by none.
    bytes.resize(row_bytes * static_cast<uint64_t>(rows) + 1);
    std::vector<float> row(static_cast<size_t>(columns));
    constexpr int64_t kOwnRows = 7;
    uint8_t* const first = bytes.data() + 1;
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t* const to = first + static_cast<uint64_t>(r) * row_bytes;
      if (r >= kOwnRows) {
        std::memcpy(to, to - kOwnRows * row_bytes, row_bytes);
        continue;
      }
      row = random_floats(row.size(), seed + static_cast<uint32_t>(r) * 7919, 0.5f);
      for (float& v : row) v += 0.2f;
      codec.encode(row.data(), nullptr, to, row.size());
    }
    view = {type, bytes.data() + 1, rows, columns, row_bytes};
  }
  const Codec& codec;
  uint64_t row_bytes;
  std::vector<uint8_t> bytes;
  MatrixView view;
};

struct alignas(64) Line {
  float of[16];
};
class Scratch {  // as kernels may ask for it: aligned
 public:
  Scratch() : lines_(kKernelScratchFloats / 16) {
    for (Line& line : lines_) std::fill(std::begin(line.of), std::end(line.of), 1e30f);
  }
  float* data() { return lines_[0].of; }

 private:
  std::vector<Line> lines_;
};

}  // namespace enxuto
