// The best points of a grid for eight values, at eight scales at once (lanes), exactly: the cost of
// a point is the sum of its coordinates' costs, so those of its two halves stand in two small
// tables, and the walk over the grid is one addition and one minimum a point. Costs are integers
// that carry the point's number in their low bits: the least cost says whose it is.
#pragma once

#include <algorithm>
#include <array>

#include "codecs/grids.h"
#include "codecs/lanes.h"

namespace enxuto::search {

using FourFloats = float __attribute__((vector_size(16)));

// A grid and what stands around it in its format.
//   kPoints, kLevels: the points in rising order, and what their level indices mean
//   kCoordinates: of a point; kBase: levels a coordinate can have
//   kSub: values that share a scale
//   kEvenSigns: the minuses among each eight values are even in number
//   kScales: integer scales s in 0 … kScales - 1
//   kShiftValues: values that share a shift of all levels, up or down; 0: none (and signs apart)
template <const auto& kPointTable, const auto& kLevelTable, int kCoordinateCount, int kLevelCount,
          int kSubValues, bool kParity, int kScaleCount = 16, int kShiftGroup = 0>
struct Grid {
  static constexpr auto& kPoints = kPointTable;
  static constexpr auto& kLevels = kLevelTable;
  static constexpr int kCoordinates = kCoordinateCount, kBase = kLevelCount, kSub = kSubValues;
  static constexpr int kScales = kScaleCount, kShiftValues = kShiftGroup;
  static constexpr bool kEvenSigns = kParity;

  static constexpr int kHalf = kCoordinates / 2, kWidth = std::countr_zero(std::size(kLevels));
  static constexpr int kHalves = kHalf == 4 ? kBase * kBase * kBase * kBase : kBase * kBase;
  static constexpr int kHalfBits = std::bit_width(kHalves - 1u);
  static constexpr int kPerEight = 8 / kCoordinates;  // points
  // Costs of all coordinates of a point and its number must fit 31 bits.
  static constexpr int kNumberBits = 2 * kHalfBits;
  static constexpr int kMaxCost = (1 << (31 - kNumberBits)) / kCoordinates - 2;
};

// The grid in the order of the walk, made once.
template <class G>
struct GridWalk {
  // Two points with the same high half (a lonely one stands twice): where in tables of lanes.
  struct Pair {
    uint16_t high, low, other_low;
  };
  static constexpr int kMaxPairs = static_cast<int>(std::size(G::kPoints) + G::kHalves) / 2;
  std::array<Pair, kMaxPairs> pairs;
  int n_pairs = 0;
  alignas(16) float levels[G::kHalves][G::kHalf];

  static constexpr int half_of(int packed) {
    int half = 0;
    for (int i = G::kHalf - 1; i >= 0; --i)
      half = half * G::kBase + (packed >> G::kWidth * i & ((1 << G::kWidth) - 1));
    return half;
  }

  GridWalk() {
    int last_high = -1;
    for (const int packed : G::kPoints) {
      const int high = half_of(packed >> G::kHalf * G::kWidth);
      const auto low = static_cast<uint16_t>(kLanes * half_of(packed));
      if (high == last_high) {
        pairs[n_pairs - 1].other_low = low;
        last_high = -1;
      } else {
        pairs[n_pairs++] = {static_cast<uint16_t>(kLanes * high), low, low};
        last_high = high;
      }
    }
    for (int half = 0; half < G::kHalves; ++half)
      for (int i = 0, rest = half; i < G::kHalf; ++i, rest /= G::kBase)
        levels[half][i] = G::kLevels[rest % G::kBase];
  }

  // Of a number that the search gave: where in the table the point lies.
  static int index_of(int number) {
    int packed = 0, shift = 0;
    for (int half : {number & ((1 << G::kHalfBits) - 1), number >> G::kHalfBits})
      for (int i = 0; i < G::kHalf; ++i, half /= G::kBase, shift += G::kWidth)
        packed |= half % G::kBase << shift;
    return static_cast<int>(std::ranges::lower_bound(G::kPoints, packed) - std::begin(G::kPoints));
  }

  static const GridWalk& get() {
    static const GridWalk walk;
    return walk;
  }
};

ENXUTO_INLINE IntLanes least(IntLanes a, IntLanes b) { return a < b ? a : b; }

// Costs of parts that stand side by side; `flip`: with the cheapest single sign turned.
template <int kCount>
struct Costs {
  IntLanes keep[kCount], flip[kCount];
};

template <bool kFlips, int kA, int kB>
ENXUTO_INLINE void combine(const Costs<kA>& a, const Costs<kB>& b, Costs<kA * kB>& both) {
  for (int j = 0; j < kB; ++j) {
    for (int i = 0; i < kA; ++i) {
      both.keep[j * kA + i] = a.keep[i] + b.keep[j];
      if (kFlips) both.flip[j * kA + i] = least(a.flip[i] + b.keep[j], a.keep[i] + b.flip[j]);
    }
  }
}

template <class G, bool kFlips>
ENXUTO_INLINE void half_costs(const Costs<G::kBase>* c, Costs<G::kHalves>& half) {
  if constexpr (G::kHalf == 2) {
    combine<kFlips>(c[0], c[1], half);
  } else {
    Costs<G::kBase * G::kBase> low, high;
    combine<kFlips>(c[0], c[1], low);
    combine<kFlips>(c[2], c[3], high);
    combine<kFlips>(low, high, half);
  }
}

// Of eight values t, in units of the step: by how much each level is worse than the best,
// w l (l - 2 t) less its minimum, in units that let the largest fit; with the digit of the level in
// the low bits.
template <class G, bool kFlips>
ENXUTO_INLINE void coordinate_costs(const FloatLanes* t, const float* w, Costs<G::kBase>* costs) {
  FloatLanes keep[8][G::kBase], twice[8], range = FloatLanes{} + 1e-30f;
  for (int i = 0; i < 8; ++i) {
    twice[i] = 2.0f * t[i];
    FloatLanes best;
    for (int l = 0; l < G::kBase; ++l) {
      const float level = G::kLevels[l], weighted = w[i] * level;
      keep[i][l] = weighted * (level - twice[i]);
      best = l == 0 ? keep[i][l] : keep[i][l] < best ? keep[i][l] : best;
    }
    for (int l = 0; l < G::kBase; ++l) {
      keep[i][l] -= best;
      range = keep[i][l] > range ? keep[i][l] : range;
    }
  }
  const FloatLanes unit = static_cast<float>(G::kMaxCost) / range;
  for (int i = 0; i < 8; ++i) {
    const int place = i % G::kCoordinates;
    int digit = place < G::kHalf ? 1 : 1 << G::kHalfBits;
    for (int k = 0; k < place % G::kHalf; ++k) digit *= G::kBase;
    for (int l = 0; l < G::kBase; ++l) {
      const IntLanes cost = __builtin_convertvector(keep[i][l] * unit, IntLanes);
      costs[i].keep[l] = (cost << G::kNumberBits) + l * digit;
      if (kFlips) {
        const float weighted = 2.0f * w[i] * G::kLevels[l];
        FloatLanes turned = (keep[i][l] + weighted * twice[i]) * unit;
        turned = turned < static_cast<float>(G::kMaxCost) ? turned : turned * 0.0f + G::kMaxCost;
        const IntLanes flip = __builtin_convertvector(turned, IntLanes);
        costs[i].flip[l] = (flip << G::kNumberBits) + l * digit;
      }
    }
  }
}

// `offset` counts the integers before it, so that the walk need not multiply.
ENXUTO_INLINE IntLanes at(const IntLanes* table, uint32_t offset) {
  IntLanes costs;
  __builtin_memcpy(&costs, reinterpret_cast<const int32_t*>(table) + offset, sizeof costs);
  return costs;
}

// The least cost over the grid, with its point's number: no sign turned, one turned.
template <class G, bool kKeep, bool kFlips>
ENXUTO_INLINE void walk_grid(const GridWalk<G>& walk, const Costs<G::kBase>* costs, IntLanes& keep,
                             IntLanes& flip) {
  Costs<G::kHalves> low, high;
  half_costs<G, kFlips>(costs, low);
  half_costs<G, kFlips>(costs + G::kHalf, high);
  IntLanes keeps[2], flips[2];
  keeps[0] = keeps[1] = flips[0] = flips[1] = IntLanes{} + INT32_MAX;
#pragma GCC unroll 2
  for (int p = 0; p < walk.n_pairs; ++p) {
    const auto& pair = walk.pairs[p];
    const uint32_t first = pair.low, second = pair.other_low;
    const IntLanes high_keep = at(high.keep, pair.high);
    if (kKeep) {
      keeps[0] = least(keeps[0], high_keep + at(low.keep, first));
      keeps[1] = least(keeps[1], high_keep + at(low.keep, second));
    }
    if (kFlips) {
      const IntLanes high_flip = at(high.flip, pair.high);
      flips[0] = least(flips[0], high_keep + at(low.flip, first));
      flips[1] = least(flips[1], high_flip + at(low.keep, first));
      flips[0] = least(flips[0], high_keep + at(low.flip, second));
      flips[1] = least(flips[1], high_flip + at(low.keep, second));
    }
  }
  keep = least(keeps[0], keeps[1]), flip = least(flips[0], flips[1]);
}

// numbers[point]: the best points for eight values t in each lane. `odd` (-1 or 0): their minuses
// are odd in number where the format wants even ones; kOdd: they may be, kEven: they may be even.
template <class G, bool kOdd, bool kEven>
ENXUTO_INLINE void search_lanes(const GridWalk<G>& walk, const FloatLanes* t, const float* w,
                                IntLanes odd, IntLanes* numbers) {
  constexpr int kMask = (1 << G::kNumberBits) - 1;
  Costs<G::kBase> costs[8];
  coordinate_costs<G, kOdd>(t, w, costs);
  if constexpr (G::kPerEight == 1) {
    IntLanes keep, flip;
    walk_grid<G, kEven, kOdd>(walk, costs, keep, flip);
    numbers[0] = (!kOdd ? keep : !kEven ? flip : odd ? flip : keep) & kMask;
  } else {
    IntLanes keep[2], flip[2];
    for (int point : {0, 1})
      walk_grid<G, true, kOdd>(walk, costs + 4 * point, keep[point], flip[point]);
    numbers[0] = keep[0], numbers[1] = keep[1];
    if (kOdd) {
      const IntLanes first = (flip[0] >> G::kNumberBits) + (keep[1] >> G::kNumberBits);
      const IntLanes second = (keep[0] >> G::kNumberBits) + (flip[1] >> G::kNumberBits);
      numbers[0] = odd & (first < second) ? flip[0] : keep[0];
      numbers[1] = odd & (first >= second) ? flip[1] : keep[1];
    }
    numbers[0] &= kMask, numbers[1] &= kMask;
  }
}

// Eight values at eight scales.
template <class G, bool kOdd>
ENXUTO_INLINE void search_eight(const GridWalk<G>& walk, const float* x, const float* w,
                                FloatLanes inverse, FloatLanes shift, IntLanes* numbers) {
  FloatLanes t[8];
  for (int i = 0; i < 8; ++i) t[i] = x[i] * inverse - shift;
  search_lanes<G, kOdd, !kOdd>(walk, t, w, IntLanes{} - kOdd, numbers);
}

// The levels of eight values at a lane's points.
template <class G>
ENXUTO_INLINE void levels_of(const GridWalk<G>& walk, const int* numbers, float* levels) {
  for (int point = 0; point < G::kPerEight; ++point) {
    const int number = numbers[point];
    const float* low = walk.levels[number & ((1 << G::kHalfBits) - 1)];
    const float* high = walk.levels[number >> G::kHalfBits];
    __builtin_memcpy(levels + G::kCoordinates * point, low, sizeof(float) * G::kHalf);
    __builtin_memcpy(levels + G::kCoordinates * point + G::kHalf, high, sizeof(float) * G::kHalf);
  }
}

ENXUTO_INLINE FourFloats load_four(const float* from) {
  FourFloats four;
  __builtin_memcpy(&four, from, sizeof four);
  return four;
}
ENXUTO_INLINE float sum_of(FourFloats v) { return (v[0] + v[1]) + (v[2] + v[3]); }
ENXUTO_INLINE float least_of(FourFloats v) {
  const float a = v[0] < v[1] ? v[0] : v[1], b = v[2] < v[3] ? v[2] : v[3];
  return a < b ? a : b;
}

}  // namespace enxuto::search
