// The search for super-blocks: 256 values in sub-blocks, each with a small integer scale (and low)
// in units of the super-block's own f16 scale (and low). First what each sub-block would like; then
// the super-scale that holds these wishes best; then the integers around the wishes by their true
// error, and a refit of the super-scale for the codes so found.
#pragma once

#include "codecs/affine.h"
#include "codecs/search.h"

namespace enxuto::search {

inline constexpr int kPasses = 2;  // refits of the super-scale

ENXUTO_INLINE Lanes integers_around(float centre, float low, float high) {
  return clamp(round_even(clamp(centre, low, high)) + (lane_index() - 4.0f), low, high);
}

template <int kSubs>
struct SuperFit {
  float d = 0, error = INFINITY;
  int scales[kSubs] = {};
};

// One sub-block at super-scale d: the best integer near `wish`, and what the refit of d needs.
struct SubFit {
  float scale, error, num, den;
};

template <class Levels, int kN>
ENXUTO_INLINE SubFit fit_sub(const float* x, const float* w, float d, Lanes scales) {
  const Lanes step = d * scales;
  const Sums sums = sums_at<Levels, kN>(x, w, inverse_of(step));
  float flat = 0;
  for (int i = 0; i < kN; ++i) flat += w[i] * x[i] * x[i];
  const Lanes error = select(step != 0.0f, step * step * sums.rr, flat);
  const int best = least_lane(error);
  const float scale = scales[best];
  return {scale, error[best], scale * step[best] * (sums.lr[best] + sums.ll[best]),
          scale * scale * sums.ll[best]};
}

// x ~ d * scales[s] * level, scales in [kScaleMin, kScaleMax] (Q3_K, Q6_K, IQ4_XS).
template <class Levels, int kSubs, int kScaleMin, int kScaleMax, int kVectors>
ENXUTO_INLINE SuperFit<kSubs> fit_super_symmetric(const Block<256>& block, float from, float to) {
  constexpr int kN = 256 / kSubs;
  float wishes[kSubs], weights[kSubs];
  for (int s = 0; s < kSubs; ++s) {
    const Fits fits =
        best_scales<Levels, kN, kVectors, 2, false>(block.x + s * kN, block.w + s * kN, from, to);
    const int lane = least_lane(fits.error);
    wishes[s] = fits.scale[lane], weights[s] = fits.ll[lane];
  }
  SuperFit<kSubs> best, fit;
  fit.d = best_of(best_scales<IntegerLevels<kScaleMin, kScaleMax>, kSubs, 3, 2, true>(
      wishes, weights, 0.7f, 1.1f));
  for (int pass = 0; pass < kPasses && fit.d != 0; ++pass) {
    float num = 0, den = 0;
    fit.error = 0;
    for (int s = 0; s < kSubs; ++s) {
      const Lanes scales = integers_around(wishes[s] / fit.d, kScaleMin, kScaleMax);
      const SubFit sub = fit_sub<Levels, kN>(block.x + s * kN, block.w + s * kN, fit.d, scales);
      fit.scales[s] = static_cast<int>(sub.scale);
      fit.error += sub.error, num += sub.num, den += sub.den;
    }
    if (fit.error < best.error) best = fit;
    const float refit = den > 0 ? round_to_f16(num / den) : fit.d;
    if (refit == fit.d) break;
    fit.d = refit;
  }
  return best;
}

template <int kSubs>
struct AffineSuperFit {
  float d = 0, dmin = 0, error = INFINITY;
  int scales[kSubs] = {}, lows[kSubs] = {};
};

// Sums over a super-block of a = scale * code, b = low and x: for the refit of d and dmin.
struct AffineNormal {
  float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;

  ENXUTO_INLINE void refit(float& d, float& dmin) const {
    const float determinant = aa * bb - ab * ab;
    if (determinant > 1e-6f * aa * bb) {
      d = (ax * bb - bx * ab) / determinant;
      dmin = (ax * ab - bx * aa) / determinant;
    } else if (aa > 0) {
      d = (ax + dmin * ab) / aa;
    }
    d = round_to_f16(clamp(d, 0.0f, 65504.0f)), dmin = round_to_f16(clamp(dmin, 0.0f, 65504.0f));
  }
};

struct AffineSubFit {
  float scale = 0, low = 0, error = INFINITY;
};

// One sub-block at (d, dmin): keeps in `best` the better of the lanes' integers; adds nothing else.
// Returns for each lane the low that its codes would like best.
template <int kMax, int kN>
ENXUTO_INLINE Lanes try_integers(const float* x, const float* w, const Moments& m, float d,
                                 float dmin, Lanes scales, Lanes lows, AffineSubFit& best) {
  const Lanes step = d * scales, low = dmin * lows;
  const AffineSums sums = affine_sums_at<kMax, kN>(x, w, inverse_of(step), low);
  const LaneMask sloped = step != 0.0f;
  const Lanes error = select(sloped, step * step * sums.rr, m.flat_error(low));
  const int lane = least_lane(error);
  if (error[lane] < best.error) best = {scales[lane], lows[lane], error[lane]};
  return select(sloped, low - step * sums.r / m.w, -m.x / m.w);
}

template <int kMax, int kN>
ENXUTO_INLINE void add_normal(const float* x, const float* w, float d, float dmin,
                              const AffineSubFit& sub, AffineNormal& normal) {
  float codes[kN], c = 0, cc = 0, cx = 0, sx = 0, sw = 0;
  affine_codes<kMax, kN>(x, d * sub.scale, dmin * sub.low, codes);
  for (int i = 0; i < kN; ++i) {
    const float wc = w[i] * codes[i];
    c += wc, cc += wc * codes[i], cx += wc * x[i], sx += w[i] * x[i], sw += w[i];
  }
  normal.aa += sub.scale * sub.scale * cc;
  normal.ab += sub.scale * sub.low * c;
  normal.bb += sub.low * sub.low * sw;
  normal.ax += sub.scale * cx;
  normal.bx += sub.low * sx;
}

template <int kMax, int kN, int kScaleMax>
ENXUTO_INLINE AffineSubFit fit_affine_sub(const float* x, const float* w, float d, float dmin,
                                          float scale_wish, float low_wish) {
  const Moments m = moments_of<kN>(x, w);
  const float per_dmin = dmin > 0 ? 1.0f / dmin : 0.0f;
  const Lanes scales = integers_around(d > 0 ? scale_wish / d : 0.0f, 0, kScaleMax);
  Lanes lows = round_even(clamp(low_wish * per_dmin, 0, kScaleMax));
  AffineSubFit best;
  for (int round = 0; round < 2; ++round) {
    const Lanes wish = try_integers<kMax, kN>(x, w, m, d, dmin, scales, lows, best);
    lows = round_even(clamp(wish * per_dmin, 0, kScaleMax));
  }
  // The eight neighbours of the best pair.
  const Lanes right{Lanes::Half{-1, 0, 1, -1}, Lanes::Half{1, -1, 0, 1}};
  const Lanes up{Lanes::Half{-1, -1, -1, 0}, Lanes::Half{0, 1, 1, 1}};
  try_integers<kMax, kN>(x, w, m, d, dmin, clamp(best.scale + right, 0, kScaleMax),
                         clamp(best.low + up, 0, kScaleMax), best);
  return best;
}

// x ~ d * scales[s] * code - dmin * lows[s]; scales and lows in 0 … kScaleMax (Q2_K, Q4_K, Q5_K).
template <int kMax, int kSubs, int kScaleMax, int kVectors>
ENXUTO_INLINE AffineSuperFit<kSubs> fit_super_affine(const Block<256>& block, float from,
                                                     float cut) {
  constexpr int kN = 256 / kSubs;
  float scales[kSubs], lows[kSubs], scale_weights[kSubs], low_weights[kSubs];
  for (int s = 0; s < kSubs; ++s) {
    const float *x = block.x + s * kN, *w = block.w + s * kN;
    const AffineFits fits = best_affines<kMax, kN, true, kVectors, 3, false>(x, w, from, cut);
    const int lane = least_lane(fits.error);
    scales[s] = fits.scale[lane], lows[s] = fits.low[lane], scale_weights[s] = fits.cc[lane];
    low_weights[s] = moments_of<kN>(x, w).w;
  }
  using Integers = IntegerLevels<0, kScaleMax>;
  AffineSuperFit<kSubs> best, fit;
  fit.d = best_of(best_scales<Integers, kSubs, 3, 2, true>(scales, scale_weights, 0.7f, 1.1f));
  fit.dmin = best_of(best_scales<Integers, kSubs, 3, 2, true>(lows, low_weights, 0.7f, 1.1f));
  for (int pass = 0; pass < kPasses; ++pass) {
    AffineNormal normal;
    fit.error = 0;
    for (int s = 0; s < kSubs; ++s) {
      const float *x = block.x + s * kN, *w = block.w + s * kN;
      const AffineSubFit sub =
          fit_affine_sub<kMax, kN, kScaleMax>(x, w, fit.d, fit.dmin, scales[s], lows[s]);
      add_normal<kMax, kN>(x, w, fit.d, fit.dmin, sub, normal);
      fit.scales[s] = static_cast<int>(sub.scale), fit.lows[s] = static_cast<int>(sub.low);
      fit.error += sub.error;
    }
    if (fit.error < best.error) best = fit;
    const float d_before = fit.d, dmin_before = fit.dmin;
    normal.refit(fit.d, fit.dmin);
    if (fit.d == d_before && fit.dmin == dmin_before) break;
  }
  return best;
}

// Block after block: search(block, codes) fills the codes in and answers with the scales.
template <class Search>
void encode_super(const Codec& codec, const float* values, const float* importance, uint8_t* b,
                  size_t n, const Search& search) {
  for (; n >= 256; n -= 256, b += codec.block_bytes, values += 256) {
    Block<256> block;
    uint8_t codes[256];
    load_block(values, importance, block);
    if (importance) importance += 256;
    codec.set_scales(search(block, codes), b);
    codec.set_codes(codes, b);
  }
}

// The encoders of both kinds.
template <class Levels, int kSubs, int kScaleMin, int kScaleMax>
void encode_super_symmetric(const Codec& codec, float from, float to, const float* values,
                            const float* importance, uint8_t* b, size_t n) {
  constexpr int kN = 256 / kSubs;
  encode_super(codec, values, importance, b, n, [&](const Block<256>& block, uint8_t* codes) {
    const auto fit = fit_super_symmetric<Levels, kSubs, kScaleMin, kScaleMax, 2>(block, from, to);
    BlockScales scales{.d = fit.d};
    for (int s = 0; s < kSubs; ++s) {
      scales.a[s] = fit.scales[s];
      codes_at<Levels, kN>(block.x + kN * s, fit.d * static_cast<float>(fit.scales[s]),
                           codes + kN * s);
    }
    return scales;
  });
}

template <int kMax, int kSubs, int kScaleMax>
void encode_super_affine(const Codec& codec, float from, float cut, const float* values,
                         const float* importance, uint8_t* b, size_t n) {
  constexpr int kN = 256 / kSubs;
  encode_super(codec, values, importance, b, n, [&](const Block<256>& block, uint8_t* codes) {
    const auto fit = fit_super_affine<kMax, kSubs, kScaleMax, 5>(block, from, cut);
    BlockScales scales{.d = fit.d, .low = -fit.dmin};
    for (int s = 0; s < kSubs; ++s) {
      scales.a[s] = fit.scales[s], scales.b[s] = fit.lows[s];
      affine_codes<kMax, kN>(block.x + kN * s, fit.d * static_cast<float>(fit.scales[s]),
                             fit.dmin * static_cast<float>(fit.lows[s]), codes + kN * s);
    }
    return scales;
  });
}

}  // namespace enxuto::search
