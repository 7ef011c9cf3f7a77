// Scale search that the encoders share. All of it is inlined into each format's encode function,
// which is compiled for several instruction sets (ENXUTO_CLONES) and gives the same bits on each:
// the room is built without contraction.
//
// One idea throughout: a format's codes are "levels" in units of a scale. For given levels the best
// scale has a closed form (least squares under the importance), so the search rounds at several
// scales, refits, and keeps the best.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "codecs/registry.h"

#define ENXUTO_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ENXUTO_CLONES \
  __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define ENXUTO_CLONES
#endif

namespace enxuto::search {

ENXUTO_INLINE float clamp(float x, float low, float high) {
  x = x > low ? x : low;  // a NaN becomes `low`
  return x < high ? x : high;
}

// To nearest even; |x| < 2^22.
ENXUTO_INLINE float round_even(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

// Levels that are the integers of [kLow, kHigh].
template <int kLow, int kHigh>
struct IntegerLevels {
  static constexpr float kMin = kLow, kMax = kHigh;
  static ENXUTO_INLINE float nearest(float x) { return round_even(clamp(x, kLow, kHigh)); }
};

// 16 levels in rising order; nearest by counting the midpoints below.
template <const float (&kLevels)[16]>
struct TableLevels {
  static constexpr float kMin = kLevels[0], kMax = kLevels[15];
  static ENXUTO_INLINE float nearest(float x) {
    float level = kLevels[0];
    for (int i = 0; i < 15; ++i)
      level += x > 0.5f * (kLevels[i] + kLevels[i + 1]) ? kLevels[i + 1] - kLevels[i] : 0.0f;
    return level;
  }
};

struct Fit {
  float scale = 0;
  float gain = 0;  // weighted squared error saved against all zeros
};

// Least squares for x ~ scale * level under weights w, levels rounded at 1 / inverse.
template <class Levels, int kN>
ENXUTO_INLINE Fit fit_at(const float* x, const float* w, float inverse) {
  float xl = 0, ll = 0;
  for (int i = 0; i < kN; ++i) {
    const float level = Levels::nearest(x[i] * inverse);
    const float weighted = w[i] * level;
    xl += weighted * x[i];
    ll += weighted * level;
  }
  if (!(ll > 0)) return {};
  return {xl / ll, xl * xl / ll};
}

// The best scale for kN values. Tried: the largest value at either end of the levels times `from` …
// `to`.
template <class Levels, int kN, int kSteps>
ENXUTO_INLINE Fit best_scale(const float* x, const float* w, float from, float to) {
  float most = 0, least = 0;
  for (int i = 0; i < kN; ++i) {
    most = x[i] > most ? x[i] : most;
    least = x[i] < least ? x[i] : least;
  }
  const float largest = most >= -least ? most : least;
  if (!(std::fabs(largest) > 1e-30f) || !(std::fabs(largest) < 1e30f)) return {};
  Fit best;
  for (int side = 0; side < 2; ++side) {
    const float end = side ? Levels::kMax : Levels::kMin;
    for (int step = 0; step < kSteps; ++step) {
      const float reach = from + (to - from) * static_cast<float>(step) / (kSteps - 1);
      const Fit fit = fit_at<Levels, kN>(x, w, end * reach / largest);
      if (fit.gain > best.gain) best = fit;
    }
  }
  for (int refit = 0; refit < 2 && best.scale != 0; ++refit) {
    const Fit fit = fit_at<Levels, kN>(x, w, 1.0f / best.scale);
    if (!(fit.gain > best.gain)) break;
    best = fit;
  }
  return best;
}

ENXUTO_INLINE float inverse_of(float scale) { return scale != 0 ? 1.0f / scale : 0.0f; }

template <class Levels, int kN>
ENXUTO_INLINE float scale_error(const float* x, const float* w, float scale) {
  const float inverse = inverse_of(scale);
  float error = 0;
  for (int i = 0; i < kN; ++i) {
    const float off = x[i] - scale * Levels::nearest(x[i] * inverse);
    error += w[i] * off * off;
  }
  return error;
}

template <class Levels, int kN>
ENXUTO_INLINE void levels_at(const float* x, float scale, float* levels) {
  const float inverse = inverse_of(scale);
  for (int i = 0; i < kN; ++i) levels[i] = Levels::nearest(x[i] * inverse);
}

// x ~ scale * code - low, code in 0 … kMax.
struct AffineFit {
  float scale = 0, low = 0;
  float error = 0;
};

template <int kMax, int kN>
ENXUTO_INLINE void affine_codes(const float* x, float scale, float low, float* codes) {
  const float inverse = inverse_of(scale);
  for (int i = 0; i < kN; ++i) codes[i] = round_even(clamp((x[i] + low) * inverse, 0, kMax));
}

template <int kMax, int kN>
ENXUTO_INLINE float affine_error(const float* x, const float* w, float scale, float low) {
  const float inverse = inverse_of(scale);
  float error = 0;
  for (int i = 0; i < kN; ++i) {
    const float shifted = x[i] + low;
    const float off = shifted - scale * round_even(clamp(shifted * inverse, 0, kMax));
    error += w[i] * off * off;
  }
  return error;
}

// Codes rounded at (scale, low), then least squares of both for these codes. Where the format
// cannot hold a negative `low`, it is bound to be at least zero.
template <int kMax, int kN, bool kLowNonNegative>
ENXUTO_INLINE AffineFit affine_refit(const float* x, const float* w, float scale, float low) {
  const float inverse = inverse_of(scale);
  float sw = 0, sx = 0, sc = 0, scc = 0, scx = 0;
  for (int i = 0; i < kN; ++i) {
    const float code = round_even(clamp((x[i] + low) * inverse, 0, kMax));
    const float wx = w[i] * x[i], wc = w[i] * code;
    sw += w[i];
    sx += wx;
    sc += wc;
    scc += wc * code;
    scx += wc * x[i];
  }
  const float determinant = sw * scc - sc * sc;
  AffineFit fit{scale, low, 0};
  if (determinant > 1e-6f * sw * scc) {
    fit.scale = (sw * scx - sx * sc) / determinant;
    fit.low = (sc * scx - scc * sx) / determinant;
  }
  if (kLowNonNegative && !(fit.low >= 0)) {
    fit.low = 0;
    fit.scale = scc > 0 ? scx / scc : scale;
  }
  if (!(fit.scale > 0)) fit = {scale, low, 0};
  fit.error = affine_error<kMax, kN>(x, w, fit.scale, fit.low);
  return fit;
}

template <int kMax, int kN, bool kLowNonNegative, int kSteps>
ENXUTO_INLINE AffineFit best_affine(const float* x, const float* w, float from, float to) {
  float least = x[0], most = x[0];
  for (int i = 1; i < kN; ++i) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  if (kLowNonNegative) least = least < 0 ? least : 0;
  if (!(most - least > 1e-30f) || !(most - least < 1e30f))
    return {0, least > -1e30f && least < 1e30f ? -least : 0.0f, 0};
  AffineFit best{(most - least) / kMax, -least, 0};
  best.error = affine_error<kMax, kN>(x, w, best.scale, best.low);
  const AffineFit start = best;
  for (int step = 0; step < kSteps; ++step) {
    const float reach = from + (to - from) * static_cast<float>(step) / (kSteps - 1);
    const float scale = start.scale / reach;
    // Clipped at the top only, and at both ends alike.
    AffineFit fit = affine_refit<kMax, kN, kLowNonNegative>(x, w, scale, start.low);
    if (fit.error < best.error) best = fit;
    const float low = start.low - 0.5f * (start.scale - scale) * kMax;
    if (kLowNonNegative && !(low >= 0)) continue;
    fit = affine_refit<kMax, kN, kLowNonNegative>(x, w, scale, low);
    if (fit.error < best.error) best = fit;
  }
  for (int refit = 0; refit < 2; ++refit) {
    const AffineFit fit = affine_refit<kMax, kN, kLowNonNegative>(x, w, best.scale, best.low);
    if (!(fit.error < best.error)) break;
    best = fit;
  }
  return best;
}

// The weights of one block: where nothing is given, or nothing in this block matters, all count
// alike.
template <int kN>
ENXUTO_INLINE void load_weights(const float* importance, float* w) {
  float sum = 0;
  for (int i = 0; i < kN; ++i) {
    w[i] = importance ? importance[i] : 1.0f;
    sum += w[i];
  }
  if (!(sum > 0))
    for (int i = 0; i < kN; ++i) w[i] = 1.0f;
}

}  // namespace enxuto::search
