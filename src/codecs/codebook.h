// The search of the codebook formats: 256 values in sub-blocks, x ~ d * (2 s + 1) * level, levels
// the coordinates of a grid's points. The points found at a scale make the error a
// parabola in the scale; with a few parabolas for each sub-block, any d and its integers are judged
// without another look at the grid. Then the integers around, by a search of the grid each, and a
// refit of d for the points so found.
#pragma once

#include "codecs/grid_search.h"
#include "codecs/packing.h"
#include "codecs/registry.h"

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
