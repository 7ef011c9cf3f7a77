// Codecs: any bytes decode, wherever the block lies in the row, and any floats encode.
//   input: format u8 | what u8 (bit 0: encode, bit 1: with importance) | blocks, or values
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "codecs/codec.h"
#include "fuzz.h"

namespace enxuto {
namespace {

using fuzz::require;

std::vector<float> decode_row(const Codec& codec, std::span<const uint8_t> blocks) {
  // Sized to the byte, so that AddressSanitizer sees the first one too many.
  const std::vector<uint8_t> exact(blocks.begin(), blocks.end());
  std::vector<float> values(blocks.size() / codec.block_bytes * codec.block_values);
  codec.decode(exact.data(), values.data(), values.size());
  return values;
}

void check_decode(const Codec& codec, std::span<const uint8_t> bytes) {
  const size_t blocks = bytes.size() / codec.block_bytes;
  if (blocks == 0) return;
  const auto row = decode_row(codec, bytes.first(blocks * codec.block_bytes));
  for (size_t i = 0; i < blocks; ++i) {
    const auto alone = decode_row(codec, bytes.subspan(i * codec.block_bytes, codec.block_bytes));
    require(std::memcmp(alone.data(), row.data() + i * codec.block_values,
                        alone.size() * sizeof(float)) == 0,
            "a block decodes the same alone and in its row");
  }
}

std::vector<float> floats_of(std::span<const uint8_t> bytes, size_t multiple) {
  std::vector<float> values(bytes.size() / sizeof(float) / multiple * multiple);
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// The sum of importance × squared difference; `ours` null: against all zeros.
double weighted_error(const std::vector<float>& x, const float* importance, const float* ours) {
  double error = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double off = static_cast<double>(x[i]) - (ours ? ours[i] : 0.0f);
    error += off * off * (importance ? importance[i] : 1.0f);
  }
  return error;
}

void check_encode(const Codec& codec, std::span<const uint8_t> bytes, bool with_importance) {
  const auto x = floats_of(bytes, codec.block_values);
  if (x.empty()) return;
  std::vector<float> importance;
  if (with_importance) {
    for (size_t i = 0; i < x.size(); ++i)
      importance.push_back(static_cast<float>(bytes[i] * bytes[i]) / 256.0f);
  }
  const float* weights = with_importance ? importance.data() : nullptr;
  std::vector<uint8_t> blocks(codec.row_bytes(x.size()));
  codec.encode(x.data(), weights, blocks.data(), x.size());
  const auto back = decode_row(codec, blocks);
  const bool finite = std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); });
  if (!finite || codec.block_values == 1) return;
  for (float v : back) require(std::isfinite(v), "finite values come back finite");
  // Within the range that weights have, a format must at least not do harm.
  const bool sane = std::all_of(x.begin(), x.end(), [](float v) {
    return v == 0 || (std::fabs(v) > 1e-3f && std::fabs(v) < 1e3f);
  });
  if (sane)
    require(weighted_error(x, weights, back.data()) <= 1.01 * weighted_error(x, weights, nullptr),
            "a block is no worse than all zeros");
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  enxuto::fuzz::Input input(data, size);
  const auto codecs = enxuto::all_codecs();
  const enxuto::Codec& codec = *codecs[input.byte() % codecs.size()];
  const uint8_t what = input.byte();
  if (what & 1) {
    if (codec.encode) enxuto::check_encode(codec, input.rest(), what & 2);
  } else if (codec.decode) {
    enxuto::check_decode(codec, input.rest());
  }
  return 0;
}
