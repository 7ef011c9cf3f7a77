// Importance from outside: compress goes by it, and what it writes of its own says the same.
#include <gmock/gmock.h>

#include "compress/calibration_text.h"
#include "formats/imatrix.h"
#include "tests/budget/budget.h"

namespace enxuto {
namespace {

constexpr const char* kName = "blk.1.ffn_down.weight";
constexpr Type kCoarse = Type::Q4_0;

// Of 8-bit weights: their columns are not scaled, so what is written is near what there was.
class BroughtImportance : public CompressBudget {
 protected:
  Result<CompressReport> bring(const std::string& imatrix, const std::string& save = {}) {
    CompressRequest request;
    request.target_bytes = model_.get()->file_bytes;
    request.types = {kCoarse};
    request.calibration_text = builtin_calibration_text().substr(0, 6000);
    request.n_threads = 2;
    request.replace_output = true;
    request.imatrix_path = imatrix;
    request.save_imatrix_path = save;
    return compress(model_.get(), out(), request, {});
  }
  std::string write(const std::string& name, std::span<const float> means) const {
    const std::string path = folder_.path("imatrix.gguf");
    auto file = OutputFile::create(path, true);
    EXPECT_TRUE(file.ok() && write_imatrix(*file, {"test", 1, 512, 512}, {{name, means}}).ok() &&
                file->commit().ok());
    return path;
  }
  uint64_t width() const { return model_.get()->find(kName)->columns(); }

  // Squared errors of the even columns of the tensor in the file, over those of the odd ones.
  double even_over_odd() const {
    const auto written = open_model(out());
    EXPECT_TRUE(written.ok());
    const Tensor& was = *model_.get()->find(kName);
    const Tensor& is = *(*written)->find(kName);
    EXPECT_EQ(is.type, kCoarse);
    std::vector<float> before(was.columns()), after(was.columns());
    double errors[2] = {};
    for (uint64_t r = 0; r < was.rows(); ++r) {
      was.codec().decode(was.row(r).data(), before.data(), before.size());
      is.codec().decode(is.row(r).data(), after.data(), after.size());
      for (size_t c = 0; c < before.size(); ++c)
        errors[c % 2] += (after[c] - before[c]) * (after[c] - before[c]);
    }
    return errors[0] / errors[1];
  }

  const TemporaryModel model_{tiny_model({.width = 64, .n_layers = 2}), Type::Q8_0};
};

TEST_F(BroughtImportance, ColumnsThatItFindsLargeAreRoundedBest) {
  ASSERT_TRUE(bring("").ok());
  const double plain = even_over_odd();
  std::vector<float> means(width());
  for (size_t c = 0; c < means.size(); ++c) means[c] = c % 2 == 0 ? 1e4f : 1;
  const auto even = bring(write(kName, means));
  ASSERT_TRUE(even.ok()) << even.status().what();
  EXPECT_EQ(even->imatrix_tensors, 1u);
  EXPECT_LT(even_over_odd(), 0.7 * plain);
  for (float& mean : means) mean = 1e4f + 1 - mean;
  ASSERT_TRUE(bring(write(kName, means)).ok());
  EXPECT_GT(even_over_odd(), plain / 0.7);
}

// Zeros, and numbers at the ends of what floats hold.
TEST_F(BroughtImportance, WhateverItSaysTheResultIsSound) {
  std::vector<float> means(width());
  for (const auto& [small, large] : {std::pair(0.0f, 1.0f), {1e-38f, 3e35f}, {1e-44f, 1e-43f}}) {
    for (size_t c = 0; c < means.size(); ++c) means[c] = c % 5 == 0 ? large : small;
    const auto report = bring(write(kName, means));
    ASSERT_TRUE(report.ok()) << report.status().what();
    EXPECT_TRUE(std::isfinite(report->predicted_kld));
    const auto written = open_model(out());
    ASSERT_TRUE(written.ok());
    for (const float logit : logits_of(*written)) ASSERT_TRUE(std::isfinite(logit));
  }
}

// q knows it, k and v share q's input; gate and up theirs.
TEST_F(BroughtImportance, IsFoundUnderTheNameOfAnyThatShareAnInput) {
  const std::vector<float> means(64, 1);
  for (const auto& [name, n] : {std::pair("blk.0.attn_q.weight", 3u),
                                {"blk.0.attn_v.weight", 3u},
                                {"blk.1.ffn_up.weight", 2u},
                                {"blk.1.attn_output.weight", 1u}}) {
    const auto report = bring(write(name, means));
    ASSERT_TRUE(report.ok()) << report.status().what();
    EXPECT_EQ(report->imatrix_tensors, n) << name;
  }
}

TEST_F(BroughtImportance, OfAnotherModelIsRefused) {
  const std::vector<float> narrow(63, 1), zeros(64, 0);
  const std::tuple<const char*, std::span<const float>, const char*> wrong[] = {
      {"blk.0.attn_q.weight", narrow, "entry blk.0.attn_q.weight: 63 columns, the model has 64"},
      {"blk.9.attn_q.weight", zeros, "knows no weight of this model"},
      {"blk.0.attn_q.weight", zeros, "entry blk.0.attn_q.weight: nothing but zeros"}};
  for (const auto& [name, means, said] : wrong) {
    const Status status = bring(write(name, means)).status();
    EXPECT_EQ(status.code(), Code::kBadInput);
    EXPECT_THAT(status.what(), testing::HasSubstr(said));
    EXPECT_THAT(folder_.names(), testing::ElementsAre("imatrix.gguf"));
  }
}

// The text's own, saved and brought back, is what the text would have said.
TEST_F(BroughtImportance, WhatIsSavedSaysWhatTheTextDid) {
  const std::string saved = folder_.path("saved.gguf");
  const auto first = bring("", saved);
  ASSERT_TRUE(first.ok()) << first.status().what();
  EXPECT_EQ(first->imatrix_tensors, 0u);
  const auto imatrix = open_imatrix(saved);
  ASSERT_TRUE(imatrix.ok()) << imatrix.status().what();
  const auto second = bring(saved);
  ASSERT_TRUE(second.ok()) << second.status().what();
  EXPECT_EQ(second->imatrix_tensors, imatrix->entries.size());
  EXPECT_EQ(second->imatrix_tensors, 2u * 7 + 1);
  ASSERT_EQ(first->tensors.size(), second->tensors.size());
  for (size_t i = 0; i < first->tensors.size(); ++i)
    EXPECT_NEAR(first->tensors[i].relative_error, second->tensors[i].relative_error,
                1e-3 * first->tensors[i].relative_error)
        << first->tensors[i].name;
}

}  // namespace
}  // namespace enxuto
