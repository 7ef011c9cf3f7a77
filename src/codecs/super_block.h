// Encoders' search for super-blocks: 256 values in sub-blocks, each with a small integer scale (and
// minimum) in units of the super-block's own f16 scale (and minimum).
#pragma once

#include "codecs/search.h"

namespace enxuto::search {

// x ~ d * scales[s] * level. scales in [kScaleMin, kScaleMax] (Q3_K, Q6_K, IQ4_XS). Writes d,
// returns it.
template <class Levels, int kSubs, int kScaleMin, int kScaleMax, int kSteps>
ENXUTO_INLINE float fit_super_symmetric(const float* x, const float* w, float from, float to,
                                        uint8_t* d_bytes, int* scales) {
  constexpr int kN = 256 / kSubs;
  float wanted[kSubs];
  float largest = 0;
  for (int s = 0; s < kSubs; ++s) {
    wanted[s] = best_scale<Levels, kN, kSteps>(x + s * kN, w + s * kN, from, to).scale;
    if (std::fabs(wanted[s]) > std::fabs(largest)) largest = wanted[s];
  }
  float best_error = INFINITY, best_d = 0;
  int best_scales[kSubs] = {};
  for (int attempt = 0; attempt < 2 && largest != 0; ++attempt) {
    float d = store_f16(d_bytes, largest / (attempt == 0 ? kScaleMin : kScaleMax));
    for (int pass = 0; pass < 3; ++pass) {
      float error = 0, num = 0, den = 0;
      int chosen[kSubs];
      for (int s = 0; s < kSubs; ++s) {
        const float* xs = x + s * kN;
        const float* ws = w + s * kN;
        const int centre =
            static_cast<int>(round_even(clamp(wanted[s] * inverse_of(d), kScaleMin, kScaleMax)));
        float least = INFINITY;
        chosen[s] = centre;
        for (int scale = centre - 1; scale <= centre + 1; ++scale) {
          if (scale < kScaleMin || scale > kScaleMax) continue;
          const float e = scale_error<Levels, kN>(xs, ws, d * scale);
          if (e < least) least = e, chosen[s] = scale;
        }
        error += least;
        float levels[kN];
        levels_at<Levels, kN>(xs, d * chosen[s], levels);
        for (int i = 0; i < kN; ++i) {
          const float l = levels[i] * chosen[s], wl = ws[i] * l;
          num += wl * xs[i];
          den += wl * l;
        }
      }
      if (error < best_error) {
        best_error = error, best_d = d;
        for (int s = 0; s < kSubs; ++s) best_scales[s] = chosen[s];
      }
      if (!(den > 0)) break;
      const float refit = store_f16(d_bytes, num / den);
      if (refit == d) break;
      d = refit;
    }
  }
  for (int s = 0; s < kSubs; ++s) scales[s] = best_scales[s];
  return store_f16(d_bytes, best_d);
}

struct AffineSuper {
  float d = 0, dmin = 0;
};

// x ~ d * scales[s] * code - dmin * lows[s]; scales and lows in 0 … kScaleMax (Q2_K, Q4_K, Q5_K).
// Writes d and dmin.
template <int kMax, int kSubs, int kScaleMax, int kSteps>
ENXUTO_INLINE AffineSuper fit_super_affine(const float* x, const float* w, float from, float to,
                                           uint8_t* d_bytes, uint8_t* dmin_bytes, int* scales,
                                           int* lows) {
  constexpr int kN = 256 / kSubs;
  float want_scale[kSubs], want_low[kSubs];
  float most_scale = 0, most_low = 0;
  for (int s = 0; s < kSubs; ++s) {
    const AffineFit fit = best_affine<kMax, kN, true, kSteps>(x + s * kN, w + s * kN, from, to);
    want_scale[s] = fit.scale, want_low[s] = fit.low;
    most_scale = fit.scale > most_scale ? fit.scale : most_scale;
    most_low = fit.low > most_low ? fit.low : most_low;
  }
  AffineSuper now{store_f16(d_bytes, most_scale / kScaleMax),
                  store_f16(dmin_bytes, most_low / kScaleMax)};
  AffineSuper best;
  float best_error = INFINITY;
  int best_scales[kSubs] = {}, best_lows[kSubs] = {};
  for (int pass = 0; pass < 3; ++pass) {
    float error = 0;
    int chosen_scale[kSubs], chosen_low[kSubs];
    float aa = 0, ab = 0, bb = 0, ax = 0,
          bx = 0;  // normal equations of (d, dmin) for this pass's codes
    for (int s = 0; s < kSubs; ++s) {
      const float* xs = x + s * kN;
      const float* ws = w + s * kN;
      const int scale0 =
          static_cast<int>(round_even(clamp(want_scale[s] * inverse_of(now.d), 0, kScaleMax)));
      const int low0 =
          static_cast<int>(round_even(clamp(want_low[s] * inverse_of(now.dmin), 0, kScaleMax)));
      float least = INFINITY;
      chosen_scale[s] = scale0, chosen_low[s] = low0;
      for (int scale = scale0 - 1; scale <= scale0 + 1; ++scale) {
        for (int low = low0 - 1; low <= low0 + 1; ++low) {
          if (scale < 0 || scale > kScaleMax || low < 0 || low > kScaleMax) continue;
          const float e = affine_error<kMax, kN>(xs, ws, now.d * scale, now.dmin * low);
          if (e < least) least = e, chosen_scale[s] = scale, chosen_low[s] = low;
        }
      }
      error += least;
      float codes[kN];
      affine_codes<kMax, kN>(xs, now.d * chosen_scale[s], now.dmin * chosen_low[s], codes);
      const float low = chosen_low[s];
      for (int i = 0; i < kN; ++i) {
        const float a = codes[i] * chosen_scale[s], wa = ws[i] * a, wl = ws[i] * low;
        aa += wa * a, ab -= wa * low, bb += wl * low;
        ax += wa * xs[i], bx -= wl * xs[i];
      }
    }
    if (error < best_error) {
      best_error = error, best = now;
      for (int s = 0; s < kSubs; ++s)
        best_scales[s] = chosen_scale[s], best_lows[s] = chosen_low[s];
    }
    const float determinant = aa * bb - ab * ab;
    AffineSuper refit = now;
    if (determinant > 1e-6f * aa * bb) {
      refit.d = (ax * bb - bx * ab) / determinant;
      refit.dmin = (aa * bx - ab * ax) / determinant;
    } else if (aa > 0) {
      refit.d = (ax - ab * now.dmin) / aa;
    }
    if (!(refit.d > 0) || !(refit.dmin >= 0)) break;
    refit = {store_f16(d_bytes, refit.d), store_f16(dmin_bytes, refit.dmin)};
    if (refit.d == now.d && refit.dmin == now.dmin) break;
    now = refit;
  }
  for (int s = 0; s < kSubs; ++s) scales[s] = best_scales[s], lows[s] = best_lows[s];
  return {store_f16(d_bytes, best.d), store_f16(dmin_bytes, best.dmin)};
}

}  // namespace enxuto::search
