// The search of the codebook formats: 256 values in sub-blocks, x ~ d * (2 s + 1) * level, levels
// the coordinates of a grid's points. The points found at a scale make the error a
// parabola in the scale; with a few parabolas for each sub-block, any d and its integers are judged
// without another look at the grid. Then the integers around, by a search of the grid each, and a
// refit of d for the points so found.
#pragma once

#include <cstring>

#include "codecs/grid_search.h"

namespace enxuto::search {

// Magnitudes, and the signs apart; or values as they are, and no signs.
struct SignedBlock {
  float x[256], w[256];
  uint8_t signs[32];  // of each eight, bit set: minus
};

template <class G>
SignedBlock load_signed(const float* values, const float* importance) {
  Block<256> block;
  load_block(values, importance, block);
  SignedBlock result{};
  for (int i = 0; i < 256; ++i) {
    result.w[i] = block.w[i];
    if (G::kShiftValues != 0) {
      result.x[i] = block.x[i];
      continue;
    }
    result.x[i] = std::fabs(block.x[i]);
    result.signs[i / 8] = static_cast<uint8_t>(result.signs[i / 8] | (block.x[i] < 0) << i % 8);
  }
  return result;
}

// Of one sub-block at eight scales m: error(m) = m (ll m - 2 lx), but for what no point changes.
template <class G>
struct SubFits {
  LaneArray lx, ll;
  int numbers[G::kSub / 8][G::kPerEight][kLanes];
  bool down[G::kSub / 8][kLanes];  // the shift
};

template <class G>
ENXUTO_CLONES void fit_sub_block(const GridWalk<G>& walk, const float* x, const float* w,
                                 const uint8_t* signs, const float* inverses,
                                 SubFits<G>* __restrict fits) {
  FloatLanes inverse;
  __builtin_memcpy(&inverse, inverses, sizeof inverse);
  FourFloats lx[kLanes] = {}, ll[kLanes] = {};
  float turned[kLanes] = {};
  for (int eight = 0; eight < G::kSub / 8; ++eight, x += 8, w += 8) {
    const bool odd = G::kEvenSigns && std::popcount(signs[eight]) % 2 != 0;
    IntLanes numbers[G::kPerEight];
    if (odd)
      search_eight<G, G::kEvenSigns>(walk, x, w, inverse, FloatLanes{}, numbers);
    else
      search_eight<G, false>(walk, x, w, inverse, FloatLanes{}, numbers);
    __builtin_memcpy(fits->numbers[eight], numbers, sizeof numbers);
    const FourFloats w_low = load_four(w), w_high = load_four(w + 4);
    const FourFloats wx_low = w_low * load_four(x), wx_high = w_high * load_four(x + 4);
    for (int lane = 0; lane < kLanes; ++lane) {
      int points[G::kPerEight];
      for (int p = 0; p < G::kPerEight; ++p) points[p] = fits->numbers[eight][p][lane];
      float levels[8];
      levels_of(walk, points, levels);
      const FourFloats low = load_four(levels), high = load_four(levels + 4);
      const FourFloats lx_low = wx_low * low, lx_high = wx_high * high;
      lx[lane] += lx_low + lx_high;
      ll[lane] += w_low * low * low + w_high * high * high;
      if (odd) turned[lane] += least_of(lx_low < lx_high ? lx_low : lx_high);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    fits->lx.values[lane] = sum_of(lx[lane]) - 2 * turned[lane];
    fits->ll.values[lane] = sum_of(ll[lane]);
  }
}

// The same for grids that are shifted: the better of both shifts, for each lane.
template <class G>
ENXUTO_CLONES void fit_shifted_sub_block(const GridWalk<G>& walk, const float* x, const float* w,
                                         const float* inverses, SubFits<G>* __restrict fits) {
  constexpr int kEights = G::kShiftValues / 8;
  FloatLanes inverse;
  __builtin_memcpy(&inverse, inverses, sizeof inverse);
  fits->lx = fits->ll = LaneArray(0.0f);
  for (int first = 0; first < G::kSub / 8; first += kEights) {
    float best_lx[kLanes] = {}, best_ll[kLanes] = {};
    LaneArray least_error(INFINITY);
    for (const bool down : {false, true}) {
      const float shift = down ? -kIq1Shift : kIq1Shift;
      IntLanes numbers[kEights];
      float lx[kLanes] = {}, ll[kLanes] = {};
      for (int e = 0; e < kEights; ++e) {
        const float *at_x = x + 8 * (first + e), *at_w = w + 8 * (first + e);
        search_eight<G, false>(walk, at_x, at_w, inverse, FloatLanes{} + shift, numbers + e);
        const FourFloats w_low = load_four(at_w), w_high = load_four(at_w + 4);
        const FourFloats wx_low = w_low * load_four(at_x), wx_high = w_high * load_four(at_x + 4);
        for (int lane = 0; lane < kLanes; ++lane) {
          const int number = numbers[e][lane];
          float levels[8];
          levels_of(walk, &number, levels);
          const FourFloats low = load_four(levels) + shift, high = load_four(levels + 4) + shift;
          lx[lane] += sum_of(wx_low * low + wx_high * high);
          ll[lane] += sum_of(w_low * low * low + w_high * high * high);
        }
      }
      for (int lane = 0; lane < kLanes; ++lane) {
        const float error = ll[lane] - 2 * inverses[lane] * lx[lane];
        if (!(error < least_error.values[lane])) continue;
        least_error.values[lane] = error, best_lx[lane] = lx[lane], best_ll[lane] = ll[lane];
        for (int e = 0; e < kEights; ++e) {
          fits->numbers[first + e][0][lane] = numbers[e][lane];
          fits->down[first + e][lane] = down;
        }
      }
    }
    for (int lane = 0; lane < kLanes; ++lane)
      fits->lx[lane] += best_lx[lane], fits->ll[lane] += best_ll[lane];
  }
}

template <class G>
void fit_sub_block_of(const GridWalk<G>& walk, const SignedBlock& block, int sub, Lanes inverse,
                      SubFits<G>& fits) {
  const LaneArray inverses(inverse);
  const int at = G::kSub * sub;
  if constexpr (G::kShiftValues != 0)
    fit_shifted_sub_block<G>(walk, block.x + at, block.w + at, inverses.values, &fits);
  else
    fit_sub_block<G>(walk, block.x + at, block.w + at, block.signs + at / 8, inverses.values,
                     &fits);
}

// The parabolas of all sub-blocks.
template <int kSubs>
struct Parabolas {
  float lx[kSubs][kLanes], ll[kSubs][kLanes];
  float best[kSubs][kLanes];  // the m of the least error
  bool down[32][kLanes];      // the shift of the points found
};

// For each of eight d: the sum over the sub-blocks of the least error that a parabola promises.
template <int kScales, int kSubs>
ENXUTO_CLONES void promised_errors(const Parabolas<kSubs>& p, const float* ds,
                                   float* __restrict errors) {
  FloatLanes d, total = {};
  __builtin_memcpy(&d, ds, sizeof d);
  const FloatLanes half = 0.5f / d;
  for (int s = 0; s < kSubs; ++s) {
    FloatLanes best = {};
    for (int k = 0; k < kLanes; ++k) {
      FloatLanes integer = p.best[s][k] * half - 0.5f;
      integer = integer > 0.0f ? integer : FloatLanes{};
      integer = integer < kScales - 1.0f ? integer : FloatLanes{} + (kScales - 1.0f);
      const FloatLanes m = d * (2.0f * round_even(integer) + 1.0f);
      const FloatLanes error = m * (p.ll[s][k] * m - 2.0f * p.lx[s][k]);
      best = k == 0 ? error : error < best ? error : best;
    }
    total += best;
  }
  __builtin_memcpy(errors, &total, sizeof total);
}

template <class G>
struct CodebookFit {
  float d = 0;
  int scales[256 / G::kSub] = {};
  int numbers[32][G::kPerEight] = {};
  bool down[32] = {};
};

// The d that some points, at odd multiples of it, would like best.
struct Refit {
  float num = 0, den = 0;

  void add(float odd, float lx, float ll) { num += odd * lx, den += odd * odd * ll; }
  float d() const { return den > 0 ? num / den : 0.0f; }
};

// At fit.d: the integers that the parabolas promise most of, and their shifts.
template <class G>
Refit promised_scales(const Parabolas<256 / G::kSub>& p, CodebookFit<G>& fit) {
  constexpr int kEights = G::kSub / 8;
  Refit refit;
  for (int s = 0; s < 256 / G::kSub; ++s) {
    int best = 0;
    float least_error = INFINITY;
    for (int k = 0; k < kLanes; ++k) {
      const float integer =
          round_even(clamp(0.5f * p.best[s][k] / fit.d - 0.5f, 0.0f, G::kScales - 1.0f));
      const float m = fit.d * (2.0f * integer + 1.0f);
      const float error = m * (p.ll[s][k] * m - 2.0f * p.lx[s][k]);
      if (!(error < least_error)) continue;
      least_error = error, best = k, fit.scales[s] = static_cast<int>(integer);
    }
    refit.add(2.0f * static_cast<float>(fit.scales[s]) + 1.0f, p.lx[s][best], p.ll[s][best]);
    for (int e = kEights * s; e < kEights * (s + 1); ++e) fit.down[e] = p.down[e][best];
  }
  return refit;
}

// At fit.d: the integers, of eight around those there are, and the points.
template <class G>
Refit choose_points(const GridWalk<G>& walk, const SignedBlock& block, CodebookFit<G>& fit) {
  constexpr int kEights = G::kSub / 8;
  Refit refit;
  for (int s = 0; s < 256 / G::kSub; ++s) {
    const int first = std::clamp(fit.scales[s] - 4, 0, G::kScales - kLanes);
    const Lanes odd = 2.0f * (lane_index() + static_cast<float>(first)) + 1.0f, m = fit.d * odd;
    SubFits<G> fits{};
    fit_sub_block_of(walk, block, s, 1.0f / m, fits);
    const Lanes error = m * (fits.ll.lanes() * m - 2.0f * fits.lx.lanes());
    const int best = least_lane(error);
    fit.scales[s] = first + best;
    refit.add(odd[best], fits.lx[best], fits.ll[best]);
    for (int eight = 0; eight < kEights; ++eight) {
      fit.down[kEights * s + eight] = fits.down[eight][best];
      for (int p = 0; p < G::kPerEight; ++p)
        fit.numbers[kEights * s + eight][p] = fits.numbers[eight][p][best];
    }
  }
  return refit;
}

// Tried for each sub-block: its largest value over the top level, divided by kNarrowest … widest.
inline constexpr int kDs = 4 * kLanes;
inline constexpr float kNarrowest = 0.8f;

template <class G>
Parabolas<256 / G::kSub> find_parabolas(const GridWalk<G>& walk, const SignedBlock& block,
                                        float widest) {
  Parabolas<256 / G::kSub> p;
  for (int s = 0; s < 256 / G::kSub; ++s) {
    float most = 1e-30f;
    for (int i = G::kSub * s; i < G::kSub * (s + 1); ++i)
      most = std::max(most, std::fabs(block.x[i]));
    const float reached = G::kLevels[G::kBase - 1] / most;
    SubFits<G> fits{};
    fit_sub_block_of(
        walk, block, s,
        reached * (kNarrowest + (widest - kNarrowest) * lane_index() / (kLanes - 1.0f)), fits);
    for (int k = 0; k < kLanes; ++k) {
      p.lx[s][k] = fits.lx[k], p.ll[s][k] = fits.ll[k];
      p.best[s][k] = fits.lx[k] / fits.ll[k];
    }
    std::memcpy(p.down[G::kSub / 8 * s], fits.down, sizeof fits.down);
  }
  return p;
}

// The d that the parabolas like best: from a little below what lets the largest wish be the largest
// integer, to twice that.
template <int kScales, int kSubs>
float most_promising(const Parabolas<kSubs>& p, float largest) {
  constexpr float kFrom = 2.125f * kScales, kStep = kScales / 32.0f;
  float least_error = INFINITY, best = 0;
  for (int first = 0; first < kDs; first += kLanes) {
    const LaneArray ds(largest / (kFrom - kStep * (lane_index() + static_cast<float>(first))));
    float errors[kLanes];
    promised_errors<kScales>(p, ds.values, errors);
    for (int lane = 0; lane < kLanes; ++lane)
      if (errors[lane] < least_error) least_error = errors[lane], best = ds.values[lane];
  }
  return best;
}

template <int kSubs>
float largest_wish(const Parabolas<kSubs>& p) {
  float largest = 0;
  for (int s = 0; s < kSubs; ++s) {
    float most = -1, wish = 0;
    for (int k = 0; k < kLanes; ++k) {
      const float gain = p.best[s][k] * p.lx[s][k];
      if (gain > most) most = gain, wish = p.best[s][k];
    }
    largest = std::max(largest, wish);
  }
  return largest;
}

// d as it can be stored; unit: what the format multiplies the stored one by. d 0: all is 0.
template <class G>
struct CodebookSearch {
  const SignedBlock& block;
  float unit;
  const GridWalk<G>& walk = GridWalk<G>::get();
  CodebookFit<G> fit = {};

  // No point is chosen yet.
  void choose_scales(float widest) {
    const auto parabolas = find_parabolas<G>(walk, block, widest);
    const float largest = largest_wish(parabolas);
    if (!(largest > 1e-30f)) return;
    fit.d = stored(most_promising<G::kScales>(parabolas, largest));
    if (fit.d > 0) take(promised_scales(parabolas, fit));
  }

  void choose_points() {
    if (fit.d > 0) take(search::choose_points(walk, block, fit));
  }

 private:
  float stored(float d) const { return round_to_f16(d / unit) * unit; }
  void take(const Refit& refit) {
    const float d = stored(refit.d());
    if (d > 0) fit.d = d;
  }
};

}  // namespace enxuto::search
