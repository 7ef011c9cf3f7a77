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

// 16 levels in rising order; nearest by halving, all midpoints in registers.
template <const float (&kLevels)[16]>
struct TableLevels {
  static constexpr float kMin = kLevels[0], kMax = kLevels[15];
  static constexpr float middle(int i) { return 0.5f * (kLevels[i] + kLevels[i + 1]); }
  static ENXUTO_INLINE FloatLanes all(float x) { return FloatLanes{} + x; }
  template <class Of>
  static ENXUTO_INLINE FloatLanes every(const Of& of) {
    return FloatLanes{of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7)};
  }
  static ENXUTO_INLINE FloatLanes nearest(const FloatLanes& x) {
    const IntLanes eighth = x > middle(7), fourth = x > (eighth ? all(middle(11)) : all(middle(3)));
    const IntLanes quarter = -2 * eighth - fourth;
    const IntLanes second =
        x > look_up(every([](int i) { return middle(4 * (i % 4) + 1); }), quarter);
    const IntLanes pair = 2 * quarter - second;
    const IntLanes first = x > look_up(every([](int i) { return middle(2 * i); }), pair);
    return first ? look_up(every([](int i) { return kLevels[2 * i + 1]; }), pair)
                 : look_up(every([](int i) { return kLevels[2 * i]; }), pair);
  }
  static ENXUTO_INLINE int code(float x) {  // its place in rising order
    int index = 0;
    for (int i = 0; i < 15; ++i) index += x > middle(i) ? 1 : 0;
    return index;
  }
};

template <class Levels>
concept NearestInLanes = requires(const FloatLanes& x) { Levels::nearest(x); };

// Of the levels l nearest to t = x / scale and what is left, r = t - l: the weighted sums that both
// the error at this scale and the best scale for these levels follow from.
struct Sums {
  Lanes rr, lr, ll;
};

template <class Number>
struct SumsOf {
  Number rr{}, lr{}, ll{};

  ENXUTO_INLINE void add(const Number& t, const Number& level, float w) {
    const Number rest = t - level, weighted_rest = w * rest;
    rr += weighted_rest * rest;
    lr += weighted_rest * level;
    ll += w * level * level;
  }
};

template <class Levels, int kN>
ENXUTO_CLONES void sum_lanes(const float* x, const float* w, const float* inverses,
                             float* __restrict rrs, float* __restrict lrs, float* __restrict lls) {
  if constexpr (NearestInLanes<Levels>) {
    FloatLanes inverse;
    __builtin_memcpy(&inverse, inverses, sizeof inverse);
    SumsOf<FloatLanes> sums;
    for (int i = 0; i < kN; ++i) {
      const FloatLanes t = x[i] * inverse;
      sums.add(t, Levels::nearest(t), w[i]);
    }
    __builtin_memcpy(rrs, &sums.rr, sizeof sums.rr);
    __builtin_memcpy(lrs, &sums.lr, sizeof sums.lr);
    __builtin_memcpy(lls, &sums.ll, sizeof sums.ll);
  } else {
    for (int lane = 0; lane < kLanes; ++lane) {
      SumsOf<float> sums;
      for (int i = 0; i < kN; ++i) {
        const float t = x[i] * inverses[lane];
        sums.add(t, Levels::nearest(t), w[i]);
      }
      rrs[lane] = sums.rr, lrs[lane] = sums.lr, lls[lane] = sums.ll;
    }
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
