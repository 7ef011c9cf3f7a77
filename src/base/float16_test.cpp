#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/native_half.h"

namespace enxuto {
namespace {

// The compiler's own binary16 is the oracle, over every half and its neighbourhood.
TEST(Float16, AgreesWithTheCompilersHalf) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const auto expected = static_cast<float>(std::bit_cast<NativeHalf>(half));
    const float got = f16_to_f32(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << h;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(got)))) << h;
      continue;
    }
    ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected)) << h;
    for (float scale : {1.0f, 1 + 0x1p-12f, 1 + 0x1p-11f, 1 + 0x1p-10f, 1 - 0x1p-12f, 1.0003f}) {
      const float value = expected * scale;
      ASSERT_EQ(f32_to_f16(value), std::bit_cast<uint16_t>(static_cast<NativeHalf>(value)))
          << value;
    }
  }
}

TEST(Float16, BrainFloatRoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // half way, to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(bf16_to_f32(0xff80), -std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace enxuto
