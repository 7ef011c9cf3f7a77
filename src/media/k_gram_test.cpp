// The k-gram model by hand, and the longest match against all runs.
#include "media/k_gram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "media/longest_match.h"

namespace enxuto {
namespace {

using Probabilities = std::array<double, kLongestKGram + 1>;

TEST(KGram, IsWittenBellsInterpolation) {
  KGram model(/*vocabulary=*/10, 1 << 20);
  model.learn(std::vector<Token>{1, 2, 1, 2, 1, 3});
  Probabilities p;
  const std::vector<Token> asked = {1, 2};
  model.predict(asked, 1, p);
  const double unigram = (2 + 3 * 0.1) / (6 + 3);  // of 6 tokens two are a 2, three kinds
  EXPECT_DOUBLE_EQ(p[0], unigram);
  EXPECT_DOUBLE_EQ(p[1], (2 + 2 * unigram) / (3 + 2)) << "after a 1: 2, 2, 3";
  EXPECT_DOUBLE_EQ(p[8], p[1]) << "there is no longer context";
}

TEST(KGram, SumsToOneAlsoWhereItsMemoryIsFull) {
  for (const uint64_t memory : {uint64_t{1} << 20, uint64_t{1} << 10, uint64_t{0}}) {
    KGram model(8, memory);
    std::mt19937 random(1);
    std::vector<Token> sequence;
    for (int i = 0; i < 500; ++i)
      sequence.push_back(static_cast<Token>(random() % 3 + random() % 3));
    model.learn(sequence);
    Probabilities p, sum{};
    for (Token token = 0; token < 8; ++token) {
      sequence[400] = token;
      model.predict(sequence, 400, p);
      for (size_t k = 0; k < p.size(); ++k) sum[k] += p[k];
    }
    for (const double each : sum) EXPECT_NEAR(each, 1, 1e-12) << memory;
  }
}

// The most even tokens of a run of both.
size_t longest_by_trying(const std::vector<Token>& a, const std::vector<Token>& b) {
  size_t longest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b.size(); ++j) {
      size_t counted = 0;
      for (size_t n = 0; i + n < a.size() && j + n < b.size() && a[i + n] == b[j + n]; ++n)
        counted += a[i + n] % 2 == 0;
      longest = std::max(longest, counted);
    }
  return longest;
}

TEST(LongestMatch, IsThatOfAllRuns) {
  std::mt19937 random(2);
  for (int i = 0; i < 50; ++i) {
    std::vector<Token> a(60), b(40), c(25);
    for (auto* each : {&a, &b, &c})
      for (Token& token : *each) token = static_cast<Token>(random() % 4);
    LongestMatch match(a, [](Token token) { return token % 2 == 0; });
    EXPECT_EQ(match.longest(), 0u);
    match.compare(b);
    EXPECT_EQ(match.longest(), longest_by_trying(a, b));
    match.compare(c);
    EXPECT_EQ(match.longest(), std::max(longest_by_trying(a, b), longest_by_trying(a, c)));
  }
}

}  // namespace
}  // namespace enxuto
