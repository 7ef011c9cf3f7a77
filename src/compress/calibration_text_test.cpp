#include "compress/calibration_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

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

// What is judged on was neither fitted on nor, in a long text, probed on, by any of the cuts.
TEST(CutBeside, TakesWhatNoCutHasTaken) {
  for (const size_t n_tokens : {200u, 3000u, 100000u}) {
    std::vector<Token> tokens(n_tokens);
    std::iota(tokens.begin(), tokens.end(), 0);
    const std::vector<ChunkLimits> cuts = {{512, 6, 64, 4}, {512, 12, 128, 2}};
    std::set<Token> taken;
    for (const ChunkLimits& limits : cuts) {
      const auto cut = cut_tokens(tokens, -1, limits);
      ASSERT_TRUE(cut.ok());
      for (const auto& chunk : cut->fit) taken.insert(chunk.begin(), chunk.end());
      if (n_tokens == 100000)
        for (const auto& chunk : cut->held_out) taken.insert(chunk.begin(), chunk.end());
    }
    const auto beside = cut_tokens_beside(tokens, -1, cuts, 256, 32);
    ASSERT_FALSE(beside.empty());
    EXPECT_EQ(beside.size() == 32, n_tokens == 100000);
    for (const auto& chunk : beside) {
      EXPECT_EQ(chunk.size(), beside.front().size());
      for (const Token token : chunk) EXPECT_FALSE(taken.contains(token)) << token;
    }
  }
}

}  // namespace
}  // namespace enxuto
