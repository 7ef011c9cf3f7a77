// The vector primitives with 128-bit NEON registers, in pairs: eight lanes, as generic/ counts
// them. kDot: whether the processor adds up four 8-bit products a lane in one instruction (SDOT,
// Armv8.2); without, they go through 16 bits. Included only by units compiled for them.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace enxuto {
namespace {

// Two registers.
template <class Register>
struct Pair {
  Register v[2];
};

// f(i) of both registers.
template <class Function>
[[gnu::always_inline]] inline auto both(const Function& f) {
  return Pair<decltype(f(0))>{{f(0), f(1)}};
}

struct NeonVectors {
  using Bytes = Pair<int8x16_t>;      // 32 x 8 bits
  using Ints = Pair<int32x4_t>;       // 8 x i32
  using Floats = Pair<float32x4_t>;   // 8 x f32
  using Doubles = Pair<float64x2_t>;  // 4 x f64
  static constexpr int kLanes = 8;
  static constexpr bool kUnsignedOnly = false, kWideSums = true;

  static void prefetch(const void* p) { __builtin_prefetch(p); }
  static void prefetch_l2(const void* p) { __builtin_prefetch(p, 0, 2); }

  // ---- bytes
  static int8x16_t load_sixteen(const void* p) { return vld1q_s8(static_cast<const int8_t*>(p)); }
  static Bytes load_bytes(const void* p) {
    return both([p](int i) { return load_sixteen(static_cast<const int8_t*>(p) + 16 * i); });
  }
  static void store_bytes(void* p, Bytes a) {
    for (int i = 0; i < 2; ++i) vst1q_s8(static_cast<int8_t*>(p) + 16 * i, a.v[i]);
  }
  static Bytes all_bytes(int value) {
    return both([value](int) { return vdupq_n_s8(static_cast<int8_t>(value)); });
  }
  static Bytes both_halves(const void* p) {  // 16 bytes, twice
    return both([a = load_sixteen(p)](int) { return a; });
  }
  // 16 bytes of each
  static Bytes load_halves(const void* a, const void* b) {
    return {{load_sixteen(a), load_sixteen(b)}};
  }
  static Bytes first_halves(Bytes a, Bytes b) { return {{a.v[0], b.v[0]}}; }
  static Bytes second_halves(Bytes a, Bytes b) { return {{a.v[1], b.v[1]}}; }
  // 16 bytes -> their low nibbles, then their high ones
  static Bytes split_nibbles(const void* p) {
    const uint8x16_t a = vreinterpretq_u8_s8(load_sixteen(p));
    return {
        {vreinterpretq_s8_u8(vandq_u8(a, vdupq_n_u8(15))), vreinterpretq_s8_u8(vshrq_n_u8(a, 4))}};
  }
  // (bytes >> kShift) & mask, a negative shift goes left
  template <int kShift>
  static Bytes field(Bytes a, int mask) {
    return both([&](int i) {
      uint8x16_t x = vreinterpretq_u8_s8(a.v[i]);
      if constexpr (kShift > 0) x = vshrq_n_u8(x, kShift);
      if constexpr (kShift < 0) x = vshlq_n_u8(x, -kShift);
      return vreinterpretq_s8_u8(vandq_u8(x, vdupq_n_u8(static_cast<uint8_t>(mask))));
    });
  }
  template <int kShift>
  static Ints field(Ints a, int mask) {
    return both([&](int i) {
      int32x4_t x = a.v[i];
      if constexpr (kShift > 0) x = vshrq_n_s32(x, kShift);
      return vandq_s32(x, vdupq_n_s32(mask));
    });
  }
  static Bytes bit_or(Bytes a, Bytes b) {
    return both([&](int i) { return vorrq_s8(a.v[i], b.v[i]); });
  }
  static Bytes subtract_bytes(Bytes a, Bytes b) {
    return both([&](int i) { return vsubq_s8(a.v[i], b.v[i]); });
  }
  static Bytes add_bytes(Bytes a, Bytes b) {
    return both([&](int i) { return vaddq_s8(a.v[i], b.v[i]); });
  }
  // 3 a / 256, rounded down: from 86 on 1, from 171 on 2
  static Bytes whole_thirds(Bytes a) {
    return both([&](int i) {
      const uint8x16_t x = vreinterpretq_u8_s8(a.v[i]);
      const uint8x16_t minus = vaddq_u8(vcgeq_u8(x, vdupq_n_u8(86)), vcgeq_u8(x, vdupq_n_u8(171)));
      return vnegq_s8(vreinterpretq_s8_u8(minus));
    });
  }
  // bit i of the word -> byte i: 255 or 0
  static Pair<uint8x16_t> masks_of(uint32_t word) {
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    return both([&](int i) {
      const auto low = static_cast<uint8_t>(word >> 16 * i);
      const auto high = static_cast<uint8_t>(word >> (16 * i + 8));
      return vtstq_u8(vcombine_u8(vdup_n_u8(low), vdup_n_u8(high)), bits);
    });
  }
  // bit i of the word -> byte i: `value` or 0
  static Bytes spread_bits(uint32_t word, int value) {
    const auto masks = masks_of(word);
    return both([&](int i) {
      return vandq_s8(vreinterpretq_s8_u8(masks.v[i]), vdupq_n_s8(static_cast<int8_t>(value)));
    });
  }
  // -a where the word has a bit
  static Bytes negate_where(Bytes a, uint32_t word) {
    const auto masks = masks_of(word);
    return both([&](int i) { return vbslq_s8(masks.v[i], vnegq_s8(a.v[i]), a.v[i]); });
  }
  // 8 bytes -> 32 two-bit fields, lowest first
  static Bytes spread_pairs(const void* p) {
    const uint8x8_t bytes = vld1_u8(static_cast<const uint8_t*>(p));
    const uint8x16_t a = vcombine_u8(bytes, bytes);
    const uint8x16_t first = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    const int8x16_t right = {0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6};
    return both([&](int i) {
      const uint8x16_t order = vaddq_u8(first, vdupq_n_u8(static_cast<uint8_t>(4 * i)));
      const uint8x16_t fields = vshlq_u8(vqtbl1q_u8(a, order), right);
      return vreinterpretq_s8_u8(vandq_u8(fields, vdupq_n_u8(3)));
    });
  }
  static Bytes look_up(Bytes table, Bytes index) {
    return both([&](int i) { return vqtbl1q_s8(table.v[i], vreinterpretq_u8_s8(index.v[i])); });
  }
  // 0 where the index is 16 or more.
  static Bytes look_up_or_zero(Bytes table, Bytes index) { return look_up(table, index); }
  // byte q of the word -> bytes 8 q … 8 q + 7
  static Bytes spread_bytes(uint32_t word) {
    return both([word](int i) {
      const auto eight = [&](int q) { return vdup_n_s8(static_cast<int8_t>(word >> 8 * q)); };
      return vcombine_s8(eight(2 * i), eight(2 * i + 1));
    });
  }
  static Bytes four_longs(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    const auto two = [](uint64_t low, uint64_t high) {
      return vreinterpretq_s8_u64(vcombine_u64(vcreate_u64(low), vcreate_u64(high)));
    };
    return {{two(a, b), two(c, d)}};
  }

  // ---- whole numbers
  static Ints all_ints(int32_t a) {
    return both([a](int) { return vdupq_n_s32(a); });
  }
  static Ints zero_ints() { return all_ints(0); }
  static Ints counting() { return {{int32x4_t{0, 1, 2, 3}, int32x4_t{4, 5, 6, 7}}}; }
  static Ints multiply_ints(Ints a, Ints b) {
    return both([&](int i) { return vmulq_s32(a.v[i], b.v[i]); });
  }
  static Ints and_ints(Ints a, Ints b) {
    return both([&](int i) { return vandq_s32(a.v[i], b.v[i]); });
  }
  static Ints xor_ints(Ints a, Ints b) {
    return both([&](int i) { return veorq_s32(a.v[i], b.v[i]); });
  }
  template <int kShift>
  static Ints shift_right(Ints a) {  // of numbers without a sign
    return both([&](int i) {
      return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v[i]), kShift));
    });
  }
  // The upper 16 bits of each lane.
  static void store_upper_halves(void* p, Ints a) {
    const int16x8_t halves = vcombine_s16(vshrn_n_s32(a.v[0], 16), vshrn_n_s32(a.v[1], 16));
    __builtin_memcpy(p, &halves, sizeof halves);
  }
  static Ints add_ints(Ints a, Ints b) {
    return both([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
  }
  static Ints widen_eight(int16x8_t a) {
    return {{vmovl_s16(vget_low_s16(a)), vmovl_s16(vget_high_s16(a))}};
  }
  static Ints widen_eight(uint8x8_t a) { return widen_eight(vreinterpretq_s16_u16(vmovl_u8(a))); }
  static Ints load_u8(const void* p) {
    return widen_eight(vld1_u8(static_cast<const uint8_t*>(p)));
  }
  static Ints u8_of(uint64_t bytes) { return widen_eight(vcreate_u8(bytes)); }
  static Ints load_i8(const void* p) {
    return widen_eight(vmovl_s8(vld1_s8(static_cast<const int8_t*>(p))));
  }
  static Floats to_floats(Ints a) {
    return both([&](int i) { return vcvtq_f32_s32(a.v[i]); });
  }
  static Ints round_to_ints(Floats a) {
    return both([&](int i) { return vcvtnq_s32_f32(a.v[i]); });
  }
  static int32_t sum_ints(Ints a) { return vaddvq_s32(vaddq_s32(a.v[0], a.v[1])); }
  // Halves of the lanes added up: those of a, b, c, d, then the upper ones.
  static Ints sums_of_four(Ints a, Ints b, Ints c, Ints d) {
    return both(
        [&](int i) { return vpaddq_s32(vpaddq_s32(a.v[i], b.v[i]), vpaddq_s32(c.v[i], d.v[i])); });
  }
  // 4 x 8 numbers of at most 127 -> 32 bytes in order
  static Bytes pack_ints(Ints a, Ints b, Ints c, Ints d) {
    const auto eight = [](Ints x) {
      return vqmovn_s16(vcombine_s16(vqmovn_s32(x.v[0]), vqmovn_s32(x.v[1])));
    };
    return {{vcombine_s8(eight(a), eight(b)), vcombine_s8(eight(c), eight(d))}};
  }
  // 2^n for whole n in [-126, 127]
  static Floats power_of_two(Ints n) {
    return both([&](int i) {
      return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n.v[i], vdupq_n_s32(127)), 23));
    });
  }

  // ---- floats
  static Floats all(float a) {
    return both([a](int) { return vdupq_n_f32(a); });
  }
  static Floats zero() { return all(0); }
  static Floats load(const float* p) {
    return both([p](int i) { return vld1q_f32(p + 4 * i); });
  }
  static Floats broadcast(const float* p) { return all(*p); }
  static void store(float* p, Floats a) {
    for (int i = 0; i < 2; ++i) vst1q_f32(p + 4 * i, a.v[i]);
  }
  static Floats add(Floats a, Floats b) {
    return both([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
  }
  static Floats subtract(Floats a, Floats b) {
    return both([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
  }
  static Floats multiply(Floats a, Floats b) {
    return both([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
  }
  static Floats divide(Floats a, Floats b) {
    return both([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
  }
  static Floats fma(Floats a, Floats b, Floats c) {
    return both([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
  }
  static Floats negative_fma(Floats a, Floats b, Floats c) {
    return both([&](int i) { return vfmsq_f32(c.v[i], a.v[i], b.v[i]); });
  }
  static Floats minimum(Floats a, Floats b) {
    return both([&](int i) { return vminq_f32(a.v[i], b.v[i]); });
  }
  static Floats maximum(Floats a, Floats b) {
    return both([&](int i) { return vmaxq_f32(a.v[i], b.v[i]); });
  }
  // Of values without a sign, whose bits order as integers do: a NaN is larger than all.
  static Floats maximum_or_nan(Floats a, Floats b) {
    return both([&](int i) {
      return vreinterpretq_f32_s32(
          vmaxq_s32(vreinterpretq_s32_f32(a.v[i]), vreinterpretq_s32_f32(b.v[i])));
    });
  }
  static float largest_or_nan(Floats a) {
    const int32_t bits =
        vmaxvq_s32(vmaxq_s32(vreinterpretq_s32_f32(a.v[0]), vreinterpretq_s32_f32(a.v[1])));
    return __builtin_bit_cast(float, bits);
  }
  static Floats absolute(Floats a) {
    return both([&](int i) { return vabsq_f32(a.v[i]); });
  }
  static Floats round(Floats a) {
    return both([&](int i) { return vrndnq_f32(a.v[i]); });
  }
  static Floats floor(Floats a) {
    return both([&](int i) { return vrndmq_f32(a.v[i]); });
  }
  static Floats square_roots(Floats a) {
    return both([&](int i) { return vsqrtq_f32(a.v[i]); });
  }
  // x where a > b, else y
  static Floats where_greater(Floats a, Floats b, Floats x, Floats y) {
    return both([&](int i) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), x.v[i], y.v[i]); });
  }
  // x where a is a number, else y
  static Ints where_number(Floats a, Ints x, Ints y) {
    return both([&](int i) { return vbslq_s32(vceqq_f32(a.v[i], a.v[i]), x.v[i], y.v[i]); });
  }
  static Ints bits_of(Floats a) {
    return both([&](int i) { return vreinterpretq_s32_f32(a.v[i]); });
  }
  static float first(Floats a) { return vgetq_lane_f32(a.v[0], 0); }
  static float sum(Floats a) { return vaddvq_f32(vaddq_f32(a.v[0], a.v[1])); }
  static float largest(Floats a) { return vmaxvq_f32(vmaxq_f32(a.v[0], a.v[1])); }
  // a (8) -> its lower half twice, its upper half twice
  static void double_halves(Floats a, Floats& lower, Floats& upper) {
    lower = {{a.v[0], a.v[0]}};
    upper = {{a.v[1], a.v[1]}};
  }
  static Floats evens_then_odds(Floats a) {
    return {{vuzp1q_f32(a.v[0], a.v[1]), vuzp2q_f32(a.v[0], a.v[1])}};
  }
  // Sums of neighbours: a0 + a1, …, a6 + a7, b0 + b1, …, b6 + b7
  static Floats add_pairs(Floats a, Floats b) {
    return {{vpaddq_f32(a.v[0], a.v[1]), vpaddq_f32(b.v[0], b.v[1])}};
  }
  // a in the lower half of the lanes, b in the upper
  static Floats two(float a, float b) { return {{vdupq_n_f32(a), vdupq_n_f32(b)}}; }
  // p[0] in the lower half of the lanes, p[1] in the upper
  static Floats broadcast_two(const float* p) { return two(p[0], p[1]); }
  // Lanes 1 and 3, zeros elsewhere: what meets the minima of broadcast_two_f16_pairs.
  static Floats at_minima(float a, float b) { return {{float32x4_t{0, a, 0, b}, vdupq_n_f32(0)}}; }
  static void transpose(Floats (&a)[8]) {
    Floats b[8];
#pragma GCC unroll 4
    for (int quarter = 0; quarter < 4; ++quarter) {  // four rows times four lanes
      const int from = quarter / 2 * 4, half = quarter % 2;
      const auto row = [&](int i) { return a[from + i].v[half]; };
      const auto pairs = [](float32x4_t x) { return vreinterpretq_f64_f32(x); };
      const float64x2_t even0 = pairs(vtrn1q_f32(row(0), row(1)));
      const float64x2_t odd0 = pairs(vtrn2q_f32(row(0), row(1)));
      const float64x2_t even1 = pairs(vtrn1q_f32(row(2), row(3)));
      const float64x2_t odd1 = pairs(vtrn2q_f32(row(2), row(3)));
      const int to = 4 * half, part = from / 4;
      b[to].v[part] = vreinterpretq_f32_f64(vtrn1q_f64(even0, even1));
      b[to + 1].v[part] = vreinterpretq_f32_f64(vtrn1q_f64(odd0, odd1));
      b[to + 2].v[part] = vreinterpretq_f32_f64(vtrn2q_f64(even0, even1));
      b[to + 3].v[part] = vreinterpretq_f32_f64(vtrn2q_f64(odd0, odd1));
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) a[i] = b[i];
  }
  static Floats as_floats(Bytes a) {
    return both([&](int i) { return vreinterpretq_f32_s8(a.v[i]); });
  }

  // ---- half precision
  static float32x4_t four_of_f16(uint64_t halves) {
    return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(halves)));
  }
  static uint64_t load_word(const void* p, int bytes) {
    uint64_t word = 0;
    __builtin_memcpy(&word, p, static_cast<size_t>(bytes));
    return word;
  }
  static Floats load_f16(const void* p) {
    return both(
        [p](int i) { return four_of_f16(load_word(static_cast<const char*>(p) + 8 * i, 8)); });
  }
  // 16 bytes in this order, as f16: zero bytes where it says 128.
  static Floats load_f16_by(const void* p, const uint8_t* order) {
    const int8x16_t bytes = vqtbl1q_s8(load_sixteen(p), vld1q_u8(order));
    const uint64x2_t halves = vreinterpretq_u64_s8(bytes);
    return {{four_of_f16(vgetq_lane_u64(halves, 0)), four_of_f16(vgetq_lane_u64(halves, 1))}};
  }
  static Floats load_bf16(const void* p) {
    return both([p](int i) {
      const uint16x4_t a =
          vreinterpret_u16_u64(vcreate_u64(load_word(static_cast<const char*>(p) + 8 * i, 8)));
      return vreinterpretq_f32_u32(vshll_n_u16(a, 16));
    });
  }
  static Floats broadcast_f16(const void* p) {
    return both([a = four_of_f16(load_word(p, 2))](int) { return vdupq_laneq_f32(a, 0); });
  }
  // Two neighbouring f16, each in all lanes.
  static void broadcast_two_f16(const void* p, Floats& a, Floats& b) {
    const float32x4_t pair = four_of_f16(load_word(p, 4));
    a = both([pair](int) { return vdupq_laneq_f32(pair, 0); });
    b = both([pair](int) { return vdupq_laneq_f32(pair, 1); });
  }
  static Floats broadcast_two_f16(const void* p, const void* q) {
    const float32x4_t pair = four_of_f16(load_word(p, 2) | load_word(q, 2) << 16);
    return {{vdupq_laneq_f32(pair, 0), vdupq_laneq_f32(pair, 1)}};
  }
  // Of two blocks, each of which begins with a scale and a minimum: the first one's scale in the
  // lower half, the other's in the upper; lanes 0 … 3 of `all`: scale, minimum, scale, minimum.
  static void broadcast_two_f16_pairs(const void* p, const void* q, Floats& scales, Floats& all) {
    all = {{four_of_f16(load_word(p, 4) | load_word(q, 4) << 32), vdupq_n_f32(0)}};
    scales = {{vdupq_laneq_f32(all.v[0], 0), vdupq_laneq_f32(all.v[0], 2)}};
  }
  static void store_f16(void* p, Floats a) {
    for (int i = 0; i < 2; ++i) {
      const uint16x4_t halves = vreinterpret_u16_f16(vcvt_f16_f32(a.v[i]));
      __builtin_memcpy(static_cast<char*>(p) + 8 * i, &halves, sizeof halves);
    }
  }

  // ---- sums in double
  static Doubles zero_doubles() {
    return both([](int) { return vdupq_n_f64(0); });
  }
  static Doubles add_squares(Floats a, Doubles sum) {
    return both([&](int i) {
      const float64x2_t low = vcvt_f64_f32(vget_low_f32(a.v[i]));
      const float64x2_t high = vcvt_high_f64_f32(a.v[i]);
      return vfmaq_f64(vfmaq_f64(sum.v[i], low, low), high, high);
    });
  }
  static double sum_doubles(Doubles a) { return vaddvq_f64(vaddq_f64(a.v[0], a.v[1])); }
  static float square_root(float a) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(a)), 0); }

  // ---- tiles
  using Partial = Ints;
  static constexpr int kTileTokens = 4, kTileRows = 16, kFloatTokens = 6;
  static Partial nothing() { return zero_ints(); }
  static Ints widen(Partial sum) { return sum; }
  static Ints widen_add(Ints total, Partial sum) { return add_ints(total, sum); }
  static Bytes broadcast_four(const void* p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return both([word](int) { return vreinterpretq_s8_s32(vdupq_n_s32(word)); });
  }
};

template <bool kDot>
struct Neon : NeonVectors {
  // Lane i: sum + the products of bytes 4 i … 4 i + 3. No code is above 127, so all are signed.
  template <bool>
  static Ints add_products(Ints sum, Bytes w, Bytes x) {
    return both([&](int i) {
#ifdef __ARM_FEATURE_DOTPROD
      if constexpr (kDot) return vdotq_s32(sum.v[i], w.v[i], x.v[i]);
#endif
      const int16x8_t low = vmull_s8(vget_low_s8(w.v[i]), vget_low_s8(x.v[i]));
      const int16x8_t high = vmull_high_s8(w.v[i], x.v[i]);
      return vpadalq_s16(sum.v[i], vpaddq_s16(low, high));
    });
  }
  // What a bias of the codes takes off every dot product with x.
  template <int kBias, bool>
  static Ints bias(Bytes x) {
    return kBias ? add_products<true>(zero_ints(), all_bytes(-kBias), x) : zero_ints();
  }
  template <int, bool>
  static Ints dot(Bytes w, Bytes x, Ints negative_bias) {
    return add_products<true>(negative_bias, w, x);
  }
  template <int kBias, bool kSigned>
  static Ints bias(Bytes x0, Bytes x1) {
    return add_ints(bias<kBias, kSigned>(x0), bias<kBias, kSigned>(x1));
  }
  template <int, bool, int>
  static Ints dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, Ints negative_bias) {
    return add_products<true>(add_products<true>(negative_bias, w0, x0), w1, x1);
  }
};

}  // namespace
}  // namespace enxuto
