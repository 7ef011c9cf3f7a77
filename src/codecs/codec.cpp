#include "codecs/codec.h"

#include <algorithm>
#include <cctype>

#include "codecs/registry.h"

namespace enxuto {
namespace {

constexpr const Codec* kRegistry[] = {
    &kF32,   &kF16,     &kBF16,   &kQ4_0,  &kQ4_1,    &kQ5_0,   &kQ5_1,   &kQ8_0,  &kQ2_0,
    &kQ2_K,  &kQ3_K,    &kQ4_K,   &kQ5_K,  &kQ6_K,    &kIQ4_NL, &kIQ4_XS, &kMXFP4, &kIQ1_S,
    &kIQ1_M, &kIQ2_XXS, &kIQ2_XS, &kIQ2_S, &kIQ3_XXS, &kIQ3_S,  &kTQ1_0,  &kTQ2_0, &kNVFP4,
    &kQ1_0,  &kI8,      &kI16,    &kI32,   &kI64,     &kF64,    &kSF16,   &kSQ8_0, &kSQ4_NL,
};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

}  // namespace

BlockGrid grid_of(const Codec& codec, const BlockScales& scales) {
  const BlockShape& shape = *codec.shape;
  BlockGrid grid;
  for (uint32_t g = 0; g < codec.block_values / shape.group_values; ++g) {
    const float unit = shape.units ? shape.units[scales.a[g]] : static_cast<float>(scales.a[g]);
    grid.step[g] = scales.d * unit;
    grid.offset[g] = shape.zero * grid.step[g] + scales.low * static_cast<float>(scales.b[g]);
  }
  return grid;
}

std::span<const Codec* const> all_codecs() { return kRegistry; }

const Codec* find_codec(Type type) {
  for (const Codec* codec : kRegistry)
    if (codec->type == type) return codec;
  return nullptr;
}

const Codec* find_codec(std::string_view name) {
  for (const Codec* codec : kRegistry)
    if (same_letters(codec->name, name)) return codec;
  return nullptr;
}

}  // namespace enxuto
