#include "compress/feedback.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <random>
#include <vector>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

constexpr int64_t kRows = 24, kColumns = 512, kTokens = 1024, kCauses = 96;

// Inputs whose columns have much in common and are of different sizes, as a layer's are.
std::vector<float> inputs() {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> mixing(kCauses * kColumns), x(kTokens * kColumns), sizes(kColumns);
  for (float& m : mixing) m = normal(random);
  for (float& s : sizes) s = std::exp(0.5f * normal(random));
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<float> causes(kCauses);
    for (float& c : causes) c = normal(random) / 8;
    for (int64_t i = 0; i < kColumns; ++i) {
      float sum = 0.5f * normal(random);
      for (int64_t c = 0; c < kCauses; ++c) sum += causes[c] * mixing[c * kColumns + i];
      x[t * kColumns + i] = sizes[i] * sum;
    }
  }
  return x;
}

class Feedback : public testing::Test {
 protected:
  void SetUp() override {
    auto dense = Dense::load();
    ASSERT_TRUE(dense.ok()) << dense.status().what();
    memory_.resize(*covariance_bytes(kColumns) / sizeof(float));
    covariance_.emplace(*dense, kColumns, memory_);
    const std::vector<float> x = inputs(), ones(kTokens, 1.0f);
    ThreadTeam team(2);
    covariance_->clear();
    covariance_->add(team, x.data(), kColumns, kTokens, ones.data());
    importance_.resize(kColumns);
    covariance_->mean_squares(importance_);
    covariance_->factor(team);
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0, 0.02f);
    for (float& w : rows_) w = normal(random);
  }

  double loss_of_blocks(const Codec& codec, const std::vector<uint8_t>& blocks) const {
    std::vector<float> errors(rows_.size()), scratch(rows_.size());
    codec.decode(blocks.data(), errors.data(), errors.size());
    for (size_t i = 0; i < errors.size(); ++i) errors[i] = rows_[i] - errors[i];
    return loss_of(*covariance_, errors.data(), kRows, scratch.data());
  }

  std::vector<float> memory_, importance_;
  std::vector<float> rows_ = std::vector<float>(kRows * kColumns);
  std::optional<Covariance> covariance_;
};

// Every sweep helps, too.
TEST_F(Feedback, IsInEveryFormatBetterThanPlainRounding) {
  int formats = 0;
  for (const Codec* codec : all_codecs()) {
    if (!codec->shape) continue;
    std::vector<uint8_t> plain(kRows * codec->row_bytes(kColumns)), fed(plain.size());
    for (int64_t r = 0; r < kRows; ++r)
      codec->encode(rows_.data() + r * kColumns, importance_.data(),
                    plain.data() + r * codec->row_bytes(kColumns), kColumns);
    std::vector<float> scratch(static_cast<size_t>(round_scratch(kRows, kColumns)));
    double least = loss_of_blocks(*codec, plain);
    for (const int sweeps : {0, 1, 4}) {
      round_rows(*codec, *covariance_, rows_.data(), kRows, sweeps, fed.data(), scratch.data());
      const double loss = loss_of_blocks(*codec, fed);
      EXPECT_LT(loss, least) << codec->name << ", " << sweeps << " sweeps";
      least = loss;
    }
    ++formats;
  }
  EXPECT_GE(formats, 16);
}

// Where a format stores some values of a block only, errors that are handed on do not fill the
// others, whatever is moved afterwards.
TEST_F(Feedback, LeavesTheZerosOfSparseFormats) {
  for (size_t i = 0; i < rows_.size(); ++i)
    if (i / 3 % 2) rows_[i] = 0;
  int formats = 0;
  for (const Codec* codec : all_codecs()) {
    if (!codec->shape || !codec->present) continue;
    std::vector<uint8_t> blocks(kRows * codec->row_bytes(kColumns));
    std::vector<float> scratch(static_cast<size_t>(round_scratch(kRows, kColumns)));
    std::vector<float> values(rows_.size());
    double least = INFINITY;
    for (const int sweeps : {0, 2}) {
      round_rows(*codec, *covariance_, rows_.data(), kRows, sweeps, blocks.data(), scratch.data());
      codec->decode(blocks.data(), values.data(), values.size());
      for (size_t i = 0; i < values.size(); ++i)
        ASSERT_TRUE(rows_[i] != 0 || values[i] == 0) << codec->name << " " << i;
      const double loss = loss_of_blocks(*codec, blocks);
      EXPECT_LT(loss, least) << codec->name;
      least = loss;
    }
    ++formats;
  }
  EXPECT_EQ(formats, 2);
}

// Inputs with many causes, each of which is seen in few texts of 32 tokens.
std::vector<float> inputs_of_texts(int64_t n_tokens) {
  constexpr int64_t kEvery = 16, kText = 32;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> mixing(kColumns * kColumns), x(static_cast<size_t>(n_tokens * kColumns));
  for (float& m : mixing) m = normal(random);
  for (int64_t text = 0; text < n_tokens; text += kText)
    for (int64_t c = 0; c < kColumns; ++c) {
      if (random() % kEvery != 0) continue;
      for (int64_t t = text; t < text + kText; ++t) {
        const float cause = normal(random) / std::sqrt(static_cast<float>(c + 1));
        for (int64_t i = 0; i < kColumns; ++i)
          x[t * kColumns + i] += cause * mixing[c * kColumns + i];
      }
    }
  return x;
}

// As many tokens as columns say much by chance: what leans on all of it is worse on others.
TEST_F(Feedback, OfFewTokensHoldsForOthers) {
  constexpr int64_t kFew = kColumns;
  const std::vector<float> x = inputs_of_texts(2 * kFew), ones(kFew, 1.0f);
  ThreadTeam team(2);
  std::vector<float> memory(memory_.size()), scratch(2 * rows_.size()), errors(rows_.size());
  covariance_->clear();
  covariance_->add(team, x.data() + kFew * kColumns, kColumns, kFew, ones.data());
  const auto loss_on_others = [&](std::optional<double> damping) {
    Covariance fitted(covariance_->dense(), kColumns, memory);
    fitted.clear();
    fitted.add(team, x.data(), kColumns, kFew, ones.data());
    fitted.factor(team, damping);
    const Codec& codec = *find_codec(Type::Q4_K);
    std::vector<uint8_t> blocks(kRows * codec.row_bytes(kColumns));
    round_rows(codec, fitted, rows_.data(), kRows, 0, blocks.data(), scratch.data());
    codec.decode(blocks.data(), errors.data(), errors.size());
    for (size_t i = 0; i < errors.size(); ++i) errors[i] = rows_[i] - errors[i];
    return loss_of(*covariance_, errors.data(), kRows, scratch.data());
  };
  EXPECT_LT(loss_on_others({}), 0.9 * loss_on_others(0.01));
}

TEST_F(Feedback, TheLossIsTheSquaredErrorOfTheOutputs) {
  std::vector<float> errors(rows_.size()), scratch(rows_.size());
  for (size_t i = 0; i < errors.size(); ++i) errors[i] = rows_[(i * 7) % rows_.size()];
  const std::vector<float> x = inputs();
  double outputs = 0, squares = 0, diagonal = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    const float* e = errors.data() + r * kColumns;
    for (int64_t t = 0; t < kTokens; ++t) {
      double y = 0;
      for (int64_t c = 0; c < kColumns; ++c) y += static_cast<double>(e[c]) * x[t * kColumns + c];
      outputs += y * y;
    }
    for (int64_t c = 0; c < kColumns; ++c) squares += static_cast<double>(e[c]) * e[c];
  }
  for (const float m : importance_) diagonal += static_cast<double>(m) * kTokens / kColumns;
  const double expected = outputs + damping_for(kColumns, kTokens) * diagonal * squares;
  EXPECT_NEAR(loss_of(*covariance_, errors.data(), kRows, scratch.data()), expected,
              1e-4 * expected);
}

}  // namespace
}  // namespace enxuto
