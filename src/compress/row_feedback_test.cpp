#include "compress/row_feedback.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

constexpr int64_t kRows = 160, kColumns = 256, kTokens = 800;

// The covariance of n numbers per token that have some causes in common.
class Common {
 public:
  Common(const Dense& dense, int64_t n, unsigned seed)
      : memory_(*covariance_bytes(static_cast<uint64_t>(n)) / sizeof(float)),
        covariance_(dense, n, memory_) {
    constexpr int64_t kCauses = 12;
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> mixing(kCauses * n), x(kTokens * n), ones(kTokens, 1.0f);
    for (float& m : mixing) m = normal(random);
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t c = 0; c < kCauses; ++c) {
        const float cause = normal(random);
        for (int64_t i = 0; i < n; ++i)
          x[t * n + i] += cause * mixing[c * n + i] + 0.3f * normal(random);
      }
    ThreadTeam team(2);
    covariance_.clear();
    covariance_.add(team, x.data(), n, kTokens, ones.data());
    covariance_.factor(team);
  }
  const Covariance& operator*() const { return covariance_; }
  double at(int64_t i, int64_t j) const {
    const CovarianceBlock& block = covariance_.blocks().front();
    return block.matrix[std::max(i, j) * block.n + std::min(i, j)];
  }

 private:
  std::vector<float> memory_;
  Covariance covariance_;
};

class RowFeedbackTest : public testing::Test {
 protected:
  void SetUp() override {
    auto dense = Dense::load();
    ASSERT_TRUE(dense.ok()) << dense.status().what();
    inputs_.emplace(*dense, kColumns, 1);
    outputs_.emplace(*dense, kRows, 2);
    std::mt19937 random(5);
    std::normal_distribution<float> normal(0, 0.02f);
    for (float& w : weights_) w = normal(random);
  }

  // Encoded in pieces of so many rows, as a tensor is read.
  std::vector<uint8_t> encode(const Codec& codec, int n_threads, int64_t piece) const {
    ThreadTeam team(n_threads);
    const uint64_t row_bytes = codec.row_bytes(kColumns);
    std::vector<uint8_t> blocks(kRows * row_bytes);
    std::vector<float> errors(kRows * kColumns);
    const RowFeedback feedback(**outputs_, errors);
    for (int64_t first = 0; first < kRows; first += piece)
      feedback.encode(
          team, codec, {&**inputs_, nullptr}, 1, first, std::min(piece, kRows - first),
          [&](int64_t row, float* values) {
            std::copy_n(weights_.data() + row * kColumns, kColumns, values);
          },
          [&](int64_t row, const uint8_t* block) {
            std::copy_n(block, row_bytes, blocks.data() + row * row_bytes);
          });
    return blocks;
  }

  // tr(O E H E'), by its definition.
  double loss(const Codec& codec, const std::vector<uint8_t>& blocks) const {
    std::vector<float> e(weights_.size());
    codec.decode(blocks.data(), e.data(), e.size());
    for (size_t i = 0; i < e.size(); ++i) e[i] = weights_[i] - e[i];
    std::vector<double> weighed(e.size());
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t i = 0; i < kColumns; ++i)
        for (int64_t j = 0; j < kColumns; ++j)
          weighed[r * kColumns + i] += e[r * kColumns + j] * inputs_->at(i, j);
    double sum = 0;
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t s = 0; s < kRows; ++s) {
        double product = 0;
        for (int64_t i = 0; i < kColumns; ++i)
          product += e[r * kColumns + i] * weighed[s * kColumns + i];
        sum += outputs_->at(r, s) * product;
      }
    return sum;
  }

  std::optional<Common> inputs_, outputs_;
  std::vector<float> weights_ = std::vector<float>(kRows * kColumns);
};

TEST_F(RowFeedbackTest, CostsTheModelLessThanRowsForThemselves) {
  for (const Type type : {Type::Q4_0, Type::Q3_K, Type::IQ4_NL, Type::IQ3_S}) {
    const Codec& codec = *find_codec(type);
    std::vector<uint8_t> alone(kRows * codec.row_bytes(kColumns));
    std::vector<float> scratch(static_cast<size_t>(round_scratch(kRows, kColumns)));
    for (int64_t r = 0; r < kRows; r += kRowsAtOnce)
      round_rows(codec, **inputs_, weights_.data() + r * kColumns, std::min(kRowsAtOnce, kRows - r),
                 1, alone.data() + r * codec.row_bytes(kColumns), scratch.data());
    EXPECT_LT(loss(codec, encode(codec, 2, kRows)), 0.9 * loss(codec, alone)) << codec.name;
  }
}

TEST_F(RowFeedbackTest, DependsNotOnThreads) {
  const Codec& codec = *find_codec(Type::Q4_K);
  EXPECT_EQ(encode(codec, 1, 100), encode(codec, 3, 100));
}

}  // namespace
}  // namespace enxuto
