#include "compress/calibration_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace enxuto {
namespace {

// What follows the chunks is laid out for the limits, so no text of any length may pass them.
TEST(CalibrationText, ChunksKeepTheLimitsWhateverTheTextsLength) {
  for (const ChunkLimits& limits :
       {ChunkLimits{512, 48, 64, 3}, ChunkLimits{40, 5, 20, 2}, ChunkLimits{256, 12, 64, 1}})
    for (size_t n = 64; n < 2000; n += n < 700 ? 1 : 37) {
      std::vector<Token> tokens(n);
      std::iota(tokens.begin(), tokens.end(), 0);
      const auto chunks = cut_tokens(tokens, -1, limits);
      ASSERT_TRUE(chunks.ok());
      ASSERT_FALSE(chunks->fit.empty() || chunks->held_out.empty()) << n;
      EXPECT_LE(chunks->fit.size(), limits.fit_chunks);
      EXPECT_LE(chunks->held_out.size(), limits.held_out_chunks);
      std::vector<Token> used;
      for (const auto& chunk : chunks->fit) {
        EXPECT_LE(chunk.size(), limits.fit_tokens) << n;
        used.insert(used.end(), chunk.begin(), chunk.end());
      }
      for (const auto& chunk : chunks->held_out) {
        EXPECT_LE(chunk.size(), limits.held_out_tokens) << n;
        used.insert(used.end(), chunk.begin(), chunk.end());
      }
      std::ranges::sort(used);
      EXPECT_EQ(std::ranges::adjacent_find(used), used.end()) << "held out and fitted on, " << n;
    }
}

TEST(CalibrationText, ATextThatIsTooShortIsAnError) {
  const std::vector<Token> tokens(63);
  EXPECT_EQ(cut_tokens(tokens, -1, {512, 48, 64, 3}).status().code(), Code::kBadInput);
}

}  // namespace
}  // namespace enxuto
