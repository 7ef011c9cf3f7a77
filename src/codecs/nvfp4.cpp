// NVFP4: 64 values in 36 bytes, four sub-blocks of 16.
//   4 scales, unsigned E4M3 | 4 × 8 bytes of E2M1 codes: low nibbles are values 0 … 7 of the
//   sub-block, high nibbles values 8 … 15
//   value = scale / 2 * kE2m1Values[code], whose values are doubled
#include "codecs/half_scales.h"
#include "codecs/levels16.h"
#include "codecs/search.h"

namespace enxuto {
namespace {

constexpr int kN = 64, kBytes = 36, kTopScale = 126;

float half_scale(int code) { return kHalfE4m3.of[code]; }

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    for (int i = 0; i < 32; ++i) {
      const int sub = i / 8;
      const float scale = half_scale(b[sub]);
      float* pair = values + 16 * sub + i % 8;
      pair[0] = scale * static_cast<float>(kE2m1Values[b[4 + i] & 15]);
      pair[8] = scale * static_cast<float>(kE2m1Values[b[4 + i] >> 4]);
    }
  }
}

constexpr BlockShape kShape = {.n_codes = 16,
                               .group_values = 16,
                               .levels = kE2m1Levels,
                               .least = 0,
                               .most = kTopScale,
                               .units = kHalfE4m3.of,
                               .fixed_d = true};

void read_scales(const uint8_t* b, BlockScales& scales) {
  for (int s = 0; s < 4; ++s) scales.a[s] = b[s];
}

void write_scales(const BlockScales& scales, uint8_t* b) {
  for (int s = 0; s < 4; ++s) b[s] = static_cast<uint8_t>(scales.a[s]);
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int i = 0; i < 32; ++i) {
    const uint8_t* pair = codes + 16 * (i / 8) + i % 8;
    b[4 + i] = static_cast<uint8_t>(e2m1_code(pair[0]) | e2m1_code(pair[8]) << 4);
  }
}

// The code of the least scale that is not below x / 2.
int code_above(float x) {
  int code = 0;
  for (int bit = 64; bit > 0; bit /= 2)
    if (half_scale(code + bit - 1) < x) code += bit;
  return code < kTopScale ? code : kTopScale;
}

// Scales are few: sixteen around the one that just holds the largest value are all tried.
void encode_sub_block(const float* x, const float* w, uint8_t* scale_code, uint8_t* codes) {
  float largest = 0, flat = 0;
  for (int i = 0; i < 16; ++i) {
    const float a = std::fabs(x[i]);
    largest = a > largest ? a : largest;
    flat += w[i] * x[i] * x[i];
  }
  const int above = code_above(largest / kE2m1Levels[15]);
  int best = 0;
  float least_error = flat, best_scale = 0;
  for (const int from : {above - 10, above - 2}) {
    search::LaneArray scales;
    for (int lane = 0; lane < search::kLanes; ++lane) {
      const int code = from + lane;
      scales[lane] = code > 0 && code <= kTopScale ? half_scale(code) : 0.0f;
    }
    const search::Lanes step = scales.lanes();
    const search::Sums sums = search::sums_at<E2m1, 16>(x, w, search::inverse_of(step));
    const search::Lanes error = search::select(step != 0.0f, step * step * sums.rr, flat);
    const int lane = search::least_lane(error);
    if (error[lane] < least_error)
      least_error = error[lane], best = from + lane, best_scale = step[lane];
  }
  *scale_code = static_cast<uint8_t>(best);
  search::codes_at<E2m1, 16>(x, best_scale, codes);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    search::Block<kN> block;
    uint8_t codes[kN];
    search::load_block(values, importance, block);
    if (importance) importance += kN;
    for (int s = 0; s < 4; ++s)
      encode_sub_block(block.x + 16 * s, block.w + 16 * s, b + s, codes + 16 * s);
    set_codes(codes, b);
  }
}

}  // namespace

const Codec kNVFP4 = {Type::NVFP4, "NVFP4", kN,          kBytes,       decode,
                      encode,      &kShape, read_scales, write_scales, set_codes};

}  // namespace enxuto
