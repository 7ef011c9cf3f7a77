// The search for x ~ scale * code - low, code in 0 … kMax: as search.h, with two unknowns.
#pragma once

#include "codecs/lanes.h"
#include "codecs/registry.h"

namespace enxuto::search {

// Of the codes c nearest to t = (x + low) / scale and what is left, r = t - c: weighted sums.
struct AffineSums {
  Lanes rr, cr, cc, r, c;
};

struct AffineSumArrays {
  LaneArray rr, cr, cc, r, c;
};

template <int kMax, int kN>
ENXUTO_CLONES void sum_affine_lanes(const float* x, const float* w, const float* inverses,
                                    const float* lows, AffineSumArrays* __restrict sums) {
  constexpr float kHigh = kMax;
  for (int lane = 0; lane < kLanes; ++lane) {
    float rr = 0, cr = 0, cc = 0, r = 0, c = 0;
    for (int i = 0; i < kN; ++i) {
      const float t = (x[i] + lows[lane]) * inverses[lane];
      // At least zero without a branch, which would keep the loop scalar; at most kMax.
      const float nearest = round_even(t), positive = 0.5f * (nearest + std::fabs(nearest));
      const float code = positive < kHigh ? positive : kHigh;
      const float rest = t - code;
      const float weighted_rest = w[i] * rest, weighted_code = w[i] * code;
      rr += weighted_rest * rest;
      cr += weighted_rest * code;
      cc += weighted_code * code;
      r += weighted_rest;
      c += weighted_code;
    }
    sums->rr.values[lane] = rr, sums->cr.values[lane] = cr, sums->cc.values[lane] = cc;
    sums->r.values[lane] = r, sums->c.values[lane] = c;
  }
}

template <int kMax, int kN>
ENXUTO_INLINE AffineSums affine_sums_at(const float* x, const float* w, const Lanes& inverse,
                                        const Lanes& low) {
  const LaneArray inverses(inverse), lows(low);
  AffineSumArrays sums;
  sum_affine_lanes<kMax, kN>(x, w, inverses.values, lows.values, &sums);
  return {sums.rr.lanes(), sums.cr.lanes(), sums.cc.lanes(), sums.r.lanes(), sums.c.lanes()};
}

struct AffineFits {
  Lanes scale{}, low{};
  Lanes error = INFINITY;
  Lanes cc{};
};

ENXUTO_INLINE void keep_better(AffineFits& best, const AffineFits& other) {
  const LaneMask better = other.error < best.error;
  best.scale = select(better, other.scale, best.scale);
  best.low = select(better, other.low, best.low);
  best.error = select(better, other.error, best.error);
  best.cc = select(better, other.cc, best.cc);
}

// Least squares of both unknowns for the codes behind `sums`; the error is that of the refit.
// kBound: low is at least zero.
template <bool kBound>
ENXUTO_INLINE AffineFits affine_refit(const AffineSums& s, float sw, Lanes scale, Lanes low) {
  const Lanes determinant = s.cc * sw - s.c * s.c;
  const LaneMask solvable = determinant > 1e-6f * s.cc * sw;
  const Lanes divisor = select(solvable, determinant, 1.0f);
  Lanes turn = select(solvable, (s.cr * sw - s.c * s.r) / divisor, 0.0f);
  Lanes shift = select(solvable, (s.cc * s.r - s.c * s.cr) / divisor, 0.0f);
  if (kBound) {
    const LaneMask out = low - scale * shift < 0.0f;
    shift = select(out, low * inverse_of(scale), shift);
    turn = select(out, (s.cr - shift * s.c) / s.cc, turn);
  }
  const Lanes error = s.rr - 2.0f * (turn * s.cr + shift * s.r) + turn * turn * s.cc +
                      2.0f * turn * shift * s.c + shift * shift * sw;
  Lanes new_low = low - scale * shift;
  if (kBound) new_low = select(new_low > 0.0f, new_low, 0.0f);
  return {scale * (1.0f + turn), new_low, scale * scale * error, s.cc};
}

// Weighted sums of the values themselves.
struct Moments {
  float w = 0, x = 0, xx = 0;
  // Of all values standing at -low.
  template <class Number>
  ENXUTO_INLINE Number flat_error(Number low) const {
    return xx + 2.0f * low * x + low * low * w;
  }
};

template <int kN>
ENXUTO_INLINE Moments moments_of(const float* x, const float* w) {
  Moments m;
  for (int i = 0; i < kN; ++i) {
    m.w += w[i];
    m.x += w[i] * x[i];
    m.xx += w[i] * x[i] * x[i];
  }
  return m;
}

// Tried: the span of the values cut by up to `cut` at the top (lanes) and at the bottom (kVectors
// steps). kRefits times the eight survivors are refitted; kStored rounds them to f16 first.
template <int kMax, int kN, bool kBound, int kVectors, int kRefits, bool kStored>
ENXUTO_INLINE AffineFits best_affines(const float* x, const float* w, float from, float cut) {
  float least = kBound ? 0.0f : x[0], most = x[0];
  for (int i = 0; i < kN; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  const Moments moments = moments_of<kN>(x, w);
  const float span = most - least, sw = moments.w, level = -moments.x / sw;
  AffineFits best;  // at first: all values alike
  best.low = kBound && !(level > 0) ? 0.0f : level;
  if (kStored) best.low = round_to_f16(best.low);
  best.error = moments.flat_error(best.low);
  if (!(span > 1e-30f)) return best;
  AffineFits grid;
  for (int v = 0; v < kVectors; ++v) {
    const float bottom = span * (from + (cut - from) * static_cast<float>(v) / (kVectors - 1));
    const Lanes top = span * (from + (cut - from) * lane_index() / (kLanes - 1.0f));
    const Lanes scale = (span - top - bottom) / static_cast<float>(kMax);
    Lanes low = -least - bottom;
    if (kBound) low = select(low > 0.0f, low, 0.0f);
    const AffineSums sums = affine_sums_at<kMax, kN>(x, w, 1.0f / scale, low);
    keep_better(grid, affine_refit<kBound>(sums, sw, scale, low));
  }
  for (int refit = 0; refit < kRefits; ++refit) {
    const Lanes scale = kStored ? round_to_f16(grid.scale) : grid.scale;
    const Lanes low = kStored ? round_to_f16(grid.low) : grid.low;
    const AffineSums sums = affine_sums_at<kMax, kN>(x, w, inverse_of(scale), low);
    const Lanes error = scale * scale * sums.rr;
    keep_better(best, {scale, low, select(scale != 0.0f, error, INFINITY), sums.cc});
    grid = affine_refit<kBound>(sums, sw, scale, low);
  }
  return best;
}

struct AffineFit {
  float scale, low;
};

// For formats whose only scale and low are two f16.
template <int kMax, int kN, int kVectors, int kRefits = 4>
ENXUTO_INLINE AffineFit best_stored_affine(const Block<kN>& block, float from, float cut) {
  const AffineFits fits =
      best_affines<kMax, kN, false, kVectors, kRefits, true>(block.x, block.w, from, cut);
  const int lane = least_lane(fits.error);
  return {fits.scale[lane], fits.low[lane]};
}

template <int kMax, int kN, class Code>
ENXUTO_INLINE void affine_codes(const float* x, float scale, float low, Code* codes) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kN; ++i)
    codes[i] = static_cast<Code>(clamp(round_even((x[i] + low) * inverse), 0, kMax));
}

// Formats whose block begins with its f16 scale and its f16 minimum, -low.
inline void read_affine(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b), scales.low = load_f16(b + 2);
  scales.a[0] = scales.b[0] = 1;
}
inline void write_affine(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d), store_f16(b + 2, scales.low);
}

template <int kMax, int kN, int kVectors>
void encode_affine(const Codec& codec, float from, float cut, const float* values,
                   const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += codec.block_bytes, values += kN) {
    Block<kN> block;
    uint8_t codes[kN];
    load_block(values, importance, block);
    if (importance) importance += kN;
    const auto fit = best_stored_affine<kMax, kN, kVectors>(block, from, cut);
    const float d = store_f16(b, fit.scale), low = -store_f16(b + 2, -fit.low);
    affine_codes<kMax, kN>(block.x, d, low, codes);
    codec.set_codes(codes, b);
  }
}

}  // namespace enxuto::search
