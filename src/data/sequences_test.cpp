#include "data/sequences.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

constexpr size_t kContext = 8;

class SequencesTest : public testing::Test {
 protected:
  // Token i is i; the loss counts on odd ones.
  TokenFile file(size_t n) {
    const std::string path = folder_.path("tokens");
    auto writer = std::move(TokenFileWriter::create(path, 100'000, 0)).value();
    for (size_t i = 0; i < n; i++) {
      const auto token = static_cast<Token>(i);
      EXPECT_TRUE(writer.add({&token, 1}, i % 2 == 1).ok());
    }
    EXPECT_TRUE(writer.finish({}).ok());
    return std::move(TokenFile::open(path)).value();
  }
  Sequences sequences(size_t n_tokens, double share, uint64_t seed, bool shuffle) {
    return std::move(Sequences::create(file(n_tokens), kContext, share, seed, shuffle)).value();
  }
  static std::vector<Token> training(const Sequences& from, uint64_t i) {
    std::vector<Token> tokens(kContext + 1);
    std::vector<uint8_t> learned(kContext);
    from.training(i, tokens, learned);
    return tokens;
  }

  ScratchFolder folder_;
};

TEST_F(SequencesTest, WindowsPredictEachTokenOnce) {
  const Sequences all = sequences(1 + 10 * kContext + 3, 0.2, 1, true);
  EXPECT_EQ(all.n_training(), 8u);
  EXPECT_EQ(all.n_validation(), 2u);
  std::vector<int> predicted(1 + 10 * kContext + 3);
  std::vector<Token> tokens(kContext + 1);
  std::vector<uint8_t> learned(kContext);
  const auto count = [&] {
    for (size_t t = 0; t < kContext; t++) {
      EXPECT_EQ(tokens[t] + 1, tokens[t + 1]);
      EXPECT_EQ(learned[t], tokens[t + 1] % 2);
      predicted[static_cast<size_t>(tokens[t + 1])]++;
    }
  };
  for (uint64_t i = 0; i < all.n_training(); i++) {
    all.training(i, tokens, learned);
    EXPECT_LE(tokens.back(), static_cast<Token>(8 * kContext));  // the tail is not trained on
    count();
  }
  for (uint64_t i = 0; i < all.n_validation(); i++) {
    all.validation(i, tokens, learned);
    EXPECT_EQ(tokens[0], static_cast<Token>((8 + i) * kContext));
    count();
  }
  for (size_t token = 0; token < predicted.size(); token++)
    EXPECT_EQ(predicted[token], token >= 1 && token <= 10 * kContext) << token;
}

TEST_F(SequencesTest, EachEpochHasAnotherOrder) {
  const Sequences shuffled = sequences(1 + 50 * kContext, 0, 1, true);
  std::set<std::vector<Token>> orders;
  for (uint64_t epoch = 0; epoch < 4; epoch++) {
    std::vector<Token> firsts;
    for (uint64_t i = 0; i < 50; i++) firsts.push_back(training(shuffled, epoch * 50 + i)[0]);
    orders.insert(firsts);
    std::ranges::sort(firsts);
    for (size_t i = 0; i < 50; i++) EXPECT_EQ(firsts[i], static_cast<Token>(i * kContext));
  }
  EXPECT_EQ(orders.size(), 4u);
}

TEST_F(SequencesTest, DependOnTheArgumentsAlone) {
  const Sequences one = sequences(1 + 50 * kContext, 0.1, 7, true);
  const Sequences same = sequences(1 + 50 * kContext, 0.1, 7, true);
  const Sequences other = sequences(1 + 50 * kContext, 0.1, 8, true);
  int equal = 0;
  for (uint64_t i = 200; i-- > 100;) {
    EXPECT_EQ(training(one, i), training(same, i));
    equal += training(one, i) == training(other, i);
  }
  EXPECT_LT(equal, 20);
}

TEST_F(SequencesTest, KeepTheFilesOrderUnlessShuffled) {
  const Sequences plain = sequences(1 + 5 * kContext, 0, 1, false);
  for (uint64_t i = 0; i < 12; i++)
    EXPECT_EQ(training(plain, i)[0], static_cast<Token>(i % 5 * kContext));
}

TEST_F(SequencesTest, SharesOfFewWindows) {
  const auto shares = [&](size_t windows, double share) {
    const Sequences all = sequences(1 + windows * kContext, share, 1, true);
    return std::pair(all.n_training(), all.n_validation());
  };
  using Pair = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(shares(1, 0.5), Pair(1, 0));
  EXPECT_EQ(shares(2, 0.01), Pair(1, 1));
  EXPECT_EQ(shares(2, 0.99), Pair(1, 1));
  EXPECT_EQ(shares(100, 0), Pair(100, 0));
  EXPECT_EQ(shares(100, 0.05), Pair(95, 5));
}

TEST_F(SequencesTest, SayWhatIsMissing) {
  const auto status = Sequences::create(file(kContext), kContext, 0, 1, true).status();
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_EQ(status.what(), "the data has 8 tokens; one sequence takes 9");
  EXPECT_EQ(status.todo(), "give more text, or a context of at most 7");
  for (const double share : {-0.1, 1.0, std::nan("")})
    EXPECT_EQ(Sequences::create(file(100), kContext, share, 1, true).status().code(), Code::kUsage);
  EXPECT_EQ(Sequences::create(file(100), 0, 0, 1, true).status().code(), Code::kUsage);
}

}  // namespace
}  // namespace enxuto
