// Columns carried at other scales: what is written is the same function.
#include <gtest/gtest.h>

#include <cmath>

#include "compress/compress.h"
#include "infer/session.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

std::vector<float> logits_of(const std::shared_ptr<const Model>& model) {
  const std::vector<Token> tokens = {10, 200, 31, 4, 77, 123, 9, 250, 18, 66, 5, 101};
  InferenceRequest request;
  request.context = 32;
  const auto session = Session::open(model, request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  const auto logits = (*session)->feed(tokens);
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  return {logits->begin(), logits->end()};
}

bool same_bytes(const Model& a, const Model& b, const std::string& name) {
  return std::ranges::equal(a.find(name)->data, b.find(name)->data);
}

class ColumnScalesTest : public testing::Test {
 protected:
  void compress_to(const Model& model, std::vector<Type> types, double share) {
    CompressRequest request;
    request.target_bytes = static_cast<uint64_t>(share * static_cast<double>(model.file_bytes));
    request.types = std::move(types);
    request.replace_output = true;
    const auto report =
        compress(std::shared_ptr<const Model>(std::shared_ptr<void>(), &model), out(), request, {});
    ASSERT_TRUE(report.ok()) << report.status().what();
    auto loaded = open_model(out());
    ASSERT_TRUE(loaded.ok()) << loaded.status().what();
    written_ = *loaded;
  }
  std::string out() const { return folder_.path("out.gguf"); }

  ScratchFolder folder_;
  std::shared_ptr<const Model> written_;
};

class ColumnScalesOf : public ColumnScalesTest, public testing::WithParamInterface<const char*> {};

// In F16 nothing but the scales is left to be seen: norms, rows of v (and its bias) and of up have
// to make up for the columns that follow.
TEST_P(ColumnScalesOf, AreTheSameFunction) {
  const TemporaryModel model({.architecture = GetParam(),
                              .n_layers = 2,
                              .attention_bias = GetParam() == std::string("llama")},
                             Type::F32);
  compress_to(*model.get(), {Type::F16}, 0.6);
  const auto before = logits_of(model.get()), after = logits_of(written_);
  double difference = 0, energy = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    difference += (after[i] - before[i]) * (after[i] - before[i]);
    energy += before[i] * before[i];
  }
  EXPECT_LT(std::sqrt(difference / energy), 0.01);
  for (const char* name : {"blk.0.attn_norm.weight", "blk.1.ffn_norm.weight"})
    EXPECT_FALSE(same_bytes(*model.get(), *written_, name)) << name;
  EXPECT_EQ(same_bytes(*model.get(), *written_, "output_norm.weight"), model.get()->tied());
  if (model.get()->layers[1].v_bias) {
    EXPECT_FALSE(same_bytes(*model.get(), *written_, "blk.1.attn_v.bias"));
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ColumnScalesOf, testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                         [](const auto& of) { return std::string(of.param); });

// The grid of a quantized source is what it is: other scales would leave it.
TEST_F(ColumnScalesTest, LeaveQuantizedSourcesAlone) {
  const TemporaryModel model({.architecture = "qwen2", .n_layers = 1}, Type::Q8_0);
  compress_to(*model.get(), {}, 0.7);
  for (const Tensor& tensor : model.get()->tensors)
    if (tensor.rows() == 1) {
      EXPECT_TRUE(same_bytes(*model.get(), *written_, tensor.name)) << tensor.name;
    }
}

}  // namespace
}  // namespace enxuto
