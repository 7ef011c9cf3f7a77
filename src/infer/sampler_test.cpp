#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

namespace enxuto {
namespace {

struct GoldenCase {
  SamplingOptions options;
  std::vector<Token> accepted;
  std::vector<float> logits;
  std::map<Token, double> kept;
};

// Written by tools/golden_sampler.py from stock llama.cpp.
std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  std::ifstream file(ENXUTO_SOURCE_DIR "/src/infer/testdata/sampler.txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string what;
    in >> what;
    if (what == "case") {
      SamplingOptions& o = cases.emplace_back().options;
      in >> o.temperature >> o.top_k >> o.top_p >> o.min_p >> o.repeat_penalty >> o.repeat_last_n;
    }
    GoldenCase& c = cases.back();
    if (what == "accepted")
      for (Token token; in >> token;) c.accepted.push_back(token);
    if (what == "logits")
      for (float logit; in >> logit;) c.logits.push_back(logit);
    if (what == "kept") {
      char colon;
      double probability;
      for (Token token; in >> token >> colon >> probability;) c.kept[token] = probability;
    }
  }
  return cases;
}

TEST(Sampler, DrawsWhatStockWouldDraw) {
  const auto cases = golden_cases();
  ASSERT_EQ(cases.size(), 7u);
  constexpr int kDraws = 3000;
  for (const GoldenCase& c : cases) {
    SCOPED_TRACE(c.options.temperature);
    Sampler sampler(c.options);
    for (const Token token : c.accepted) sampler.accept(token);
    std::map<Token, int> drawn;
    for (int i = 0; i < kDraws; ++i) ++drawn[sampler.sample(c.logits)];
    for (const auto& [token, times] : drawn)
      EXPECT_TRUE(c.kept.contains(token)) << token << " was drawn, stock drops it";
    for (const auto& [token, p] : c.kept) {
      const double sigma = std::sqrt(p * (1 - p) / kDraws);
      EXPECT_NEAR(static_cast<double>(drawn[token]) / kDraws, p, 5 * sigma + 1e-4) << token;
    }
  }
}

TEST(Sampler, IsTheSameForASeedOnEveryMachine) {
  SamplingOptions options;
  options.seed = 42;
  options.temperature = 1.0f;
  options.top_k = 0, options.top_p = 1.0f, options.min_p = 0;
  const std::vector<float> logits(1000, 0.5f);
  Sampler sampler(options), again(options);
  std::vector<Token> tokens;
  for (int i = 0; i < 6; ++i) {
    tokens.push_back(sampler.sample(logits));
    EXPECT_EQ(again.sample(logits), tokens.back());
  }
  // xoshiro256** seeded by splitmix64(42): the generators' published definitions, by hand.
  EXPECT_EQ(tokens, (std::vector<Token>{83, 378, 680, 924, 991, 769}));
  options.seed = 43;
  EXPECT_NE(Sampler(options).sample(logits), tokens[0]);
}

TEST(Sampler, IsGreedyAtNoTemperature) {
  SamplingOptions options;
  options.temperature = 0;
  Sampler sampler(options);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 5, 3, 5}), 1);  // the first of equals
  options.repeat_penalty = 2;
  Sampler penal(options);
  penal.accept(1), penal.accept(3), penal.accept(-1), penal.accept(99);
  EXPECT_EQ(penal.sample(std::vector<float>{1, 5, 3, 5}), 2);
}

TEST(Sampler, TopPReachesBeyondTheFirstFewHundred) {
  SamplingOptions options;
  options.top_k = 0, options.top_p = 0.5f, options.min_p = 0, options.temperature = 1;
  std::vector<float> logits(5000, 0.0f);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = i % 2 == 0 ? 1e-3f : 0.0f;  // even wins
  Sampler sampler(options);
  Token largest = 0;
  for (int i = 0; i < 2000; ++i) {
    const Token token = sampler.sample(logits);
    EXPECT_EQ(token % 2, 0);
    largest = std::max(largest, token);
  }
  EXPECT_GT(largest, 4500);
}

}  // namespace
}  // namespace enxuto
