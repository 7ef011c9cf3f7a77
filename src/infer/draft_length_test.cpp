#include "infer/draft_length.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

// Passes of one token take a second, each further token `another`.
void warm_up(DraftLength& length, double another) {
  for (uint32_t n : {1u, 4u, 1u, 8u, 4u, 8u, 2u, 8u, 8u, 8u, 8u, 8u, 8u, 8u, 8u, 8u, 8u, 8u, 8u})
    length.passed(n, 1 + another * (n - 1));
}

TEST(DraftLength, GuessesFarWhereTokensAreCheapAndGuessesRight) {
  DraftLength length(/*streams=*/true);
  warm_up(length, 0.02);
  for (int i = 0; i < 100; ++i) length.judge(8, true);
  EXPECT_EQ(length.choose(8, 15), 15u);
  EXPECT_EQ(length.choose(8, 3), 3u);
  for (int i = 0; i < 100; ++i) length.judge(8, i % 2 == 0);
  const uint32_t less = length.choose(8, 15);
  EXPECT_GT(less, 1u);
  EXPECT_LT(less, 8u);
}

TEST(DraftLength, DoesNotGuessWhereItWouldLoseButTriesAgain) {
  DraftLength length(/*streams=*/false);
  EXPECT_EQ(length.choose(1, 15), 0u);
  EXPECT_EQ(length.choose(0, 15), 0u);
  warm_up(length, 0.3);
  for (int i = 0; i < 100; ++i) length.judge(8, false);
  EXPECT_EQ(length.choose(8, 15), 0u);
  uint32_t tries = 0;
  while (tries < 1000 && length.choose(8, 15) == 0) ++tries;
  EXPECT_GT(tries, 5u);
  EXPECT_LT(tries, 1000u);
}

}  // namespace
}  // namespace enxuto
