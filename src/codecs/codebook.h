// The codebook formats as codecs: 256 values in sub-blocks, points of a grid and signs apart. Each
// says how its block is laid out; encoding, scales and points are the same for all.
#pragma once

#include "codecs/codebook_search.h"
#include "codecs/packing.h"
#include "codecs/registry.h"

namespace enxuto::search {

// The signs to write: where their number must be even and is not, the cheapest of the eight turned.
template <class G>
int stored_signs(int signs, const float* x, const float* w, const float* levels) {
  if (!G::kEvenSigns || std::popcount(static_cast<unsigned>(signs)) % 2 == 0) return signs;
  int least = 0;
  float least_cost = INFINITY;
  for (int i = 0; i < 8; ++i) {
    const float cost = w[i] * x[i] * levels[i];
    if (cost < least_cost) least_cost = cost, least = i;
  }
  return signs ^ 1 << least;
}

// What a format says of itself, besides how it is decoded: `Points`, its grid; kBlockBytes; kShape;
// kWidest, of its search; and
//   void read_scales(const uint8_t* block, BlockScales& scales)
//   void write_scales(const BlockScales& scales, uint8_t* block)
//   void store(uint8_t* block, int e, const int* points, int signs, bool down)
//   bool down(const uint8_t* block, int e)   of formats that are shifted
// the latter two of values 8 e … 8 e + 7.

template <class G>
constexpr BlockShape codebook_shape(const OddUnits& units) {
  return {
      .n_codes = 0, .group_values = G::kSub, .least = 0, .most = G::kScales - 1, .units = units.of};
}

// d f16 comes first; kN scales of 4 bits lie kAt bytes into the block, low nibble first.
template <int kAt, int kN>
struct NibbleScales {
  static void read_scales(const uint8_t* b, BlockScales& scales) {
    scales.d = load_f16(b);
    unpack_nibble_pairs(b + kAt, kN / 2, scales.a);
  }
  static void write_scales(const BlockScales& scales, uint8_t* b) {
    store_f16(b, scales.d);
    pack_nibble_pairs(scales.a, kN / 2, b + kAt);
  }
};

// d f16 comes first; the scales are the top 4 bits of eight u32, kEvery bytes apart from kAt on.
template <int kAt, int kEvery>
struct TopScales {
  static void read_scales(const uint8_t* b, BlockScales& scales) {
    scales.d = load_f16(b);
    for (int s = 0; s < 8; ++s)
      scales.a[s] = static_cast<int>(load_u32(b + kAt + kEvery * s) >> 28);
  }
  static void write_scales(const BlockScales& scales, uint8_t* b) {
    store_f16(b, scales.d);
    for (int s = 0; s < 8; ++s)
      put_bits<uint32_t>(b + kAt + kEvery * s, 28, 4, static_cast<uint32_t>(scales.a[s]));
  }
};

template <class Format>
void write_scales(float d, const int* integers, uint8_t* b) {
  BlockScales scales{.d = d / Format::kShape.units[0]};
  std::copy_n(integers, 256 / Format::Points::kSub, scales.a);
  std::memset(b, 0, Format::kBlockBytes);
  Format::write_scales(scales, b);
}

// Codec::choose_scales.
template <class Format>
void choose_scales(const float* values, const float* importance, uint8_t* b) {
  using G = typename Format::Points;
  const auto block = load_signed<G>(values, importance);
  CodebookSearch<G> search{block, Format::kShape.units[0]};
  search.choose_scales(Format::kWidest);
  write_scales<Format>(search.fit.d, search.fit.scales, b);
  if constexpr (G::kShiftValues != 0)
    for (int e = 0; e < 32; ++e) {
      constexpr int kNone[G::kPerEight] = {};
      Format::store(b, e, kNone, 0, search.fit.down[e]);
    }
}

// Codec::encode.
template <class Format>
void encode_codebook(const float* values, const float* importance, uint8_t* b, size_t n) {
  using G = typename Format::Points;
  const auto& walk = GridWalk<G>::get();
  for (; n >= 256; n -= 256, b += Format::kBlockBytes, values += 256) {
    const auto block = load_signed<G>(values, importance);
    if (importance) importance += 256;
    CodebookSearch<G> search{block, Format::kShape.units[0]};
    search.choose_scales(Format::kWidest);
    search.choose_points();
    const auto& fit = search.fit;
    write_scales<Format>(fit.d, fit.scales, b);
    for (int e = 0; e < 32; ++e) {
      float levels[8];
      levels_of(walk, fit.numbers[e], levels);
      int points[G::kPerEight];
      for (int p = 0; p < G::kPerEight; ++p) points[p] = walk.index_of(fit.numbers[e][p]);
      const float *x = block.x + 8 * e, *w = block.w + 8 * e;
      Format::store(b, e, points, stored_signs<G>(block.signs[e], x, w, levels), fit.down[e]);
    }
  }
}

// The points of eight rows' values x (8, rows), at a step of each row's own.
template <class G>
ENXUTO_CLONES void search_rows(const GridWalk<G>& walk, const float* x, const float* w,
                               const float* steps, const float* shifts, int* __restrict numbers) {
  FloatLanes step, shift, t[8];
  __builtin_memcpy(&step, steps, sizeof step);
  __builtin_memcpy(&shift, shifts, sizeof shift);
  const FloatLanes inverse =
      step != 0.0f ? 1.0f / (step != 0.0f ? step : step + 1.0f) : FloatLanes{};
  IntLanes odd = {};
  for (int i = 0; i < 8; ++i) {
    __builtin_memcpy(&t[i], x + kLanes * i, sizeof t[i]);
    t[i] = t[i] * inverse - shift;
    if (G::kShiftValues != 0) continue;
    odd ^= t[i] < 0.0f;
    t[i] = t[i] < 0.0f ? -t[i] : t[i];
  }
  IntLanes found[G::kPerEight];
  search_lanes<G, G::kEvenSigns, true>(walk, t, w, odd, found);
  __builtin_memcpy(numbers, found, sizeof found);
}

// Codec::set_points.
template <class Format>
void set_points(int e, const float* steps, const float* targets, const float* weights, int n_rows,
                uint8_t* const* blocks, float* values) {
  using G = typename Format::Points;
  const auto& walk = GridWalk<G>::get();
  float step_of[kLanes] = {}, shifts[kLanes] = {};
  for (int row = 0; row < n_rows; ++row) {
    step_of[row] = steps[row];
    if constexpr (G::kShiftValues != 0)
      shifts[row] = Format::down(blocks[row], e) ? -kIq1Shift : kIq1Shift;
  }
  int numbers[G::kPerEight][kLanes];
  search_rows<G>(walk, targets, weights, step_of, shifts, &numbers[0][0]);
  for (int row = 0; row < n_rows; ++row) {
    int number[G::kPerEight], points[G::kPerEight], signs = 0;
    for (int p = 0; p < G::kPerEight; ++p)
      number[p] = numbers[p][row], points[p] = walk.index_of(number[p]);
    float levels[8], magnitudes[8];
    levels_of(walk, number, levels);
    for (int i = 0; i < 8; ++i) {
      const float x = targets[kLanes * i + row];
      signs |= (G::kShiftValues == 0 && x < 0) << i;
      magnitudes[i] = std::fabs(x);
    }
    signs = stored_signs<G>(signs, magnitudes, weights, levels);
    Format::store(blocks[row], e, points, signs, shifts[row] < 0);
    for (int i = 0; i < 8; ++i) {
      const float magnitude = step_of[row] * (levels[i] + shifts[row]);
      values[kLanes * i + row] = signs >> i & 1 ? -magnitude : magnitude;
    }
  }
}

template <class Format>
constexpr Codec codebook_codec(Type type, const char* name,
                               void (*decode)(const uint8_t*, float*, size_t)) {
  return {type,
          name,
          256,
          Format::kBlockBytes,
          decode,
          encode_codebook<Format>,
          &Format::kShape,
          Format::read_scales,
          Format::write_scales,
          nullptr,
          set_points<Format>,
          choose_scales<Format>};
}

}  // namespace enxuto::search
