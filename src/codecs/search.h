// The scale search that the encoders share, for x ~ scale * level.
// One idea throughout: for given levels the best scale has a closed form (least squares under the
// importance), so the search rounds at many scales, refits each, and keeps the best.
#pragma once

#include "codecs/lanes.h"
#include "codecs/registry.h"

namespace enxuto::search {

// Levels that are the integers of [kLow, kHigh].
template <int kLow, int kHigh>
struct IntegerLevels {
  static constexpr float kMin = kLow, kMax = kHigh;
  static ENXUTO_INLINE float nearest(float x) { return clamp(round_even(x), kMin, kMax); }
  static ENXUTO_INLINE int code(float x) { return static_cast<int>(nearest(x)) - kLow; }
};

// 16 levels in rising order; nearest by counting the midpoints below.
template <const float (&kLevels)[16]>
struct TableLevels {
  static constexpr float kMin = kLevels[0], kMax = kLevels[15];
  static ENXUTO_INLINE float nearest(float x) {
    float level = kLevels[0];
    for (int i = 0; i < 15; ++i) {
      const float middle = 0.5f * (kLevels[i] + kLevels[i + 1]);
      level += x > middle ? kLevels[i + 1] - kLevels[i] : 0.0f;
    }
    return level;
  }
  static ENXUTO_INLINE int code(float x) {  // its place in rising order
    int index = 0;
    for (int i = 0; i < 15; ++i) index += x > 0.5f * (kLevels[i] + kLevels[i + 1]) ? 1 : 0;
    return index;
  }
};

// Of the levels l nearest to t = x / scale and what is left, r = t - l: the weighted sums that both
// the error at this scale and the best scale for these levels follow from.
struct Sums {
  Lanes rr, lr, ll;
};

template <class Levels, int kN>
ENXUTO_CLONES void sum_lanes(const float* x, const float* w, const float* inverses,
                             float* __restrict rrs, float* __restrict lrs, float* __restrict lls) {
  for (int lane = 0; lane < kLanes; ++lane) {
    float rr = 0, lr = 0, ll = 0;
    for (int i = 0; i < kN; ++i) {
      const float t = x[i] * inverses[lane];
      const float level = Levels::nearest(t);
      const float rest = t - level;
      const float weighted_rest = w[i] * rest;
      rr += weighted_rest * rest;
      lr += weighted_rest * level;
      ll += w[i] * level * level;
    }
    rrs[lane] = rr, lrs[lane] = lr, lls[lane] = ll;
  }
}

template <class Levels, int kN>
ENXUTO_INLINE Sums sums_at(const float* x, const float* w, const Lanes& inverse) {
  const LaneArray inverses(inverse);
  LaneArray rr, lr, ll;
  sum_lanes<Levels, kN>(x, w, inverses.values, rr.values, lr.values, ll.values);
  return {rr.lanes(), lr.lanes(), ll.lanes()};
}

// Eight good scales, and how good.
struct Fits {
  Lanes scale{};
  Lanes error = INFINITY;
  Lanes ll{};  // sum of w * level^2: what the error grows with as the scale moves
};

ENXUTO_INLINE float best_of(const Fits& fits) { return fits.scale[least_lane(fits.error)]; }

ENXUTO_INLINE void keep_better(Fits& best, Lanes scale, Lanes error, Lanes ll) {
  const LaneMask better = error < best.error;
  best.scale = select(better, scale, best.scale);
  best.error = select(better, error, best.error);
  best.ll = select(better, ll, best.ll);
}

// Tried: the largest value at either end of the levels times from … to, 8 * kVectors steps an end.
// kRefits times the eight survivors are refitted; kStored rounds them to what an f16 holds first.
template <class Levels, int kN, int kVectors, int kRefits, bool kStored>
ENXUTO_INLINE Fits best_scales(const float* x, const float* w, float from, float to) {
  float most = 0, least = 0;
  for (int i = 0; i < kN; ++i) {
    most = x[i] > most ? x[i] : most;
    least = x[i] < least ? x[i] : least;
  }
  const float largest = most >= -least ? most : least;
  if (!(std::fabs(largest) > 1e-30f)) return {};
  constexpr bool kMirrored = Levels::kMin == -Levels::kMax || Levels::kMin == 0;
  Fits grid;
  for (int end = 0; end < (kMirrored ? 1 : 2); ++end) {
    const float reached = (end == 0 ? Levels::kMax : Levels::kMin) / largest;
    for (int v = 0; v < kVectors; ++v) {
      const Lanes step =
          (lane_index() + static_cast<float>(v * kLanes)) / (kVectors * kLanes - 1.0f);
      const Lanes inverse = reached * (from + (to - from) * step);
      const Sums sums = sums_at<Levels, kN>(x, w, inverse);
      const Lanes scale = 1.0f / inverse, ratio = sums.lr / sums.ll;
      keep_better(grid, scale * (1.0f + ratio), scale * scale * (sums.rr - sums.lr * ratio),
                  sums.ll);
    }
  }
  Fits best;
  Lanes scale = grid.scale;
  for (int refit = 0; refit < kRefits; ++refit) {
    if (kStored) scale = round_to_f16(scale);
    const Sums sums = sums_at<Levels, kN>(x, w, inverse_of(scale));
    const Lanes error = scale * scale * sums.rr;
    keep_better(best, scale, select(scale != 0.0f, error, INFINITY), sums.ll);
    scale = scale * (1.0f + sums.lr / sums.ll);
  }
  return best;
}

// For formats whose only scale is an f16.
template <class Levels, int kN, int kVectors, int kRefits = 3>
ENXUTO_INLINE float best_stored_scale(const Block<kN>& block, float from, float to) {
  return best_of(best_scales<Levels, kN, kVectors, kRefits, true>(block.x, block.w, from, to));
}

// The codes of the nearest levels; the lowest level has code 0.
template <class Levels, int kN>
ENXUTO_INLINE void codes_at(const float* x, float scale, uint8_t* codes) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kN; ++i) codes[i] = static_cast<uint8_t>(Levels::code(x[i] * inverse));
}

// The encoder of a format whose only scale is an f16, scale_at bytes into its block.
template <class Levels, int kN, int kVectors, int kRefits = 3>
void encode_scaled(const Codec& codec, uint32_t scale_at, float from, float to, const float* values,
                   const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += codec.block_bytes, values += kN) {
    Block<kN> block;
    uint8_t codes[kN];
    load_block(values, importance, block);
    if (importance) importance += kN;
    const float d =
        store_f16(b + scale_at, best_stored_scale<Levels, kN, kVectors, kRefits>(block, from, to));
    codes_at<Levels, kN>(block.x, d, codes);
    codec.set_codes(codes, b);
  }
}

}  // namespace enxuto::search
