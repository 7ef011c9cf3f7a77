// Eight candidates at once: the arithmetic that the encoders' searches are written in. A candidate
// scale lies in each lane, the values of a block go by one after the other; so no sum runs across
// lanes, and the order of every addition, hence every bit, is the same on each instruction set.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/float16.h"

#define ENXUTO_INLINE inline __attribute__((always_inline))
// Compiled once for each instruction set, chosen at start-up. Named by level: a processor's name
// would serve that maker's processors only.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ENXUTO_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define ENXUTO_CLONES
#endif

namespace enxuto::search {

// Four floats are a register on every machine that we know; two of them are enough to keep it busy.
struct LaneMask {
  using Half = int32_t __attribute__((vector_size(16)));
  Half low, high;
};

struct Lanes {
  using Half = float __attribute__((vector_size(16)));
  Half low, high;

  Lanes() = default;
  ENXUTO_INLINE Lanes(float value)  // NOLINT: implicit, so that numbers mix with lanes
      : low{value, value, value, value}, high{value, value, value, value} {}
  ENXUTO_INLINE Lanes(Half low_half, Half high_half) : low(low_half), high(high_half) {}

  ENXUTO_INLINE float operator[](int lane) const { return lane < 4 ? low[lane] : high[lane - 4]; }
  ENXUTO_INLINE void set(int lane, float value) {
    if (lane < 4)
      low[lane] = value;
    else
      high[lane - 4] = value;
  }
};

inline constexpr int kLanes = 8;

#define ENXUTO_LANES(op, Result)                                     \
  ENXUTO_INLINE Result operator op(const Lanes& a, const Lanes& b) { \
    return {a.low op b.low, a.high op b.high};                       \
  }
ENXUTO_LANES(+, Lanes)
ENXUTO_LANES(-, Lanes)
ENXUTO_LANES(*, Lanes)
ENXUTO_LANES(/, Lanes)
ENXUTO_LANES(<, LaneMask)
ENXUTO_LANES(>, LaneMask)
ENXUTO_LANES(!=, LaneMask)
#undef ENXUTO_LANES

ENXUTO_INLINE Lanes& operator+=(Lanes& a, const Lanes& b) { return a = a + b; }

ENXUTO_INLINE Lanes select(const LaneMask& mask, const Lanes& yes, const Lanes& no) {
  return {mask.low ? yes.low : no.low, mask.high ? yes.high : no.high};
}
ENXUTO_INLINE float select(bool condition, float yes, float no) { return condition ? yes : no; }

// Lanes one by one. The loops that take the time (over lanes outside, values inside) are written on
// these: the compiler turns the lanes into registers as wide as the instruction set has.
struct LaneArray {
  float values[kLanes];

  LaneArray() = default;
  explicit ENXUTO_INLINE LaneArray(const Lanes& lanes) {
    __builtin_memcpy(values, &lanes, sizeof values);
  }
  ENXUTO_INLINE Lanes lanes() const {
    Lanes result;
    __builtin_memcpy(&result, values, sizeof values);
    return result;
  }
  ENXUTO_INLINE float& operator[](int lane) { return values[lane]; }
};

// The same as one register, for loops that the compiler would not find it in.
using FloatLanes = float __attribute__((vector_size(32)));
using IntLanes = int32_t __attribute__((vector_size(32)));

// table[index] in each lane.
ENXUTO_INLINE FloatLanes look_up(const FloatLanes& table, const IntLanes& index) {
#ifdef __clang__
  FloatLanes found = table;
  for (int lane = 0; lane < kLanes; ++lane) found[lane] = table[index[lane]];
  return found;
#else
  return __builtin_shuffle(table, index);
#endif
}

ENXUTO_INLINE Lanes lane_index() { return {Lanes::Half{0, 1, 2, 3}, Lanes::Half{4, 5, 6, 7}}; }

// A NaN becomes `low`.
template <class Number>
ENXUTO_INLINE Number clamp(Number x, float low, float high) {
  x = select(x > low, x, low);
  return select(x < high, x, high);
}

// To nearest even; |x| < 2^22.
template <class Number>
ENXUTO_INLINE Number round_even(Number x) {
  constexpr float kMagic = 0x1.8p23f;
  return (x + kMagic) - kMagic;
}

ENXUTO_INLINE Lanes inverse_of(const Lanes& scale) {
  return select(scale != 0.0f, 1.0f / select(scale != 0.0f, scale, 1.0f), 0.0f);
}

// The nearest number that an f16 holds, a finite one.
ENXUTO_INLINE float round_to_f16(float x) {
  return f16_to_f32(f32_to_f16(clamp(x, -65504.0f, 65504.0f)));
}
ENXUTO_INLINE Lanes round_to_f16(const Lanes& x) {
  Lanes rounded;
  for (int lane = 0; lane < kLanes; ++lane) rounded.set(lane, round_to_f16(x[lane]));
  return rounded;
}

ENXUTO_INLINE int least_lane(const Lanes& x) {
  int least = 0;
  for (int lane = 1; lane < kLanes; ++lane) least = x[lane] < x[least] ? lane : least;
  return least;
}

// One block as the searches want it: finite values that square without overflow, and weights in
// (0, 1]. Where nothing is given, or nothing in this block matters, all values count alike.
template <int kN>
struct Block {
  float x[kN], w[kN];
};

template <int kN>
ENXUTO_INLINE void load_block(const float* values, const float* importance, Block<kN>& block) {
  constexpr float kHuge = 1e15f, kFloor = 1e-7f;
  float most = 0;
  for (int i = 0; i < kN; ++i) {
    block.x[i] = values[i] == values[i] ? clamp(values[i], -kHuge, kHuge) : 0.0f;
    block.w[i] = importance ? clamp(importance[i], 0.0f, 3e38f) : 1.0f;
    most = block.w[i] > most ? block.w[i] : most;
  }
  for (int i = 0; i < kN; ++i)
    block.w[i] = most > 0 ? clamp(block.w[i] / most, kFloor, 1.0f) : 1.0f;
}

}  // namespace enxuto::search
