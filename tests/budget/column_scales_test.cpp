// Columns carried at other scales: what is written is the same function.
#include "tests/budget/budget.h"

namespace enxuto {
namespace {

bool same_bytes(const Model& a, const Model& b, const std::string& name) {
  return std::ranges::equal(a.find(name)->data, b.find(name)->data);
}

class ScaledColumns : public CompressBudget {
 protected:
  void compress_to(const Model& model, std::vector<Type> types, double share) {
    const auto target = static_cast<uint64_t>(share * static_cast<double>(model.file_bytes));
    const auto report = run(model, target, 1, std::move(types));
    ASSERT_TRUE(report.ok()) << report.status().what();
    auto loaded = open_model(out());
    ASSERT_TRUE(loaded.ok()) << loaded.status().what();
    written_ = *loaded;
  }

  std::shared_ptr<const Model> written_;
};

class ScaledColumnsOf : public ScaledColumns, public testing::WithParamInterface<const char*> {};

// In F16 nothing but the scales is left to be seen: norms, rows of v (and its bias) and of up have
// to make up for the columns that follow.
TEST_P(ScaledColumnsOf, AreTheSameFunction) {
  const std::string architecture = GetParam();
  const bool uneven = architecture == "deci";
  const TemporaryModel model({.architecture = architecture,
                              .n_layers = uneven ? 4u : 2u,
                              .attention_bias = uneven || architecture == "llama"},
                             Type::F32);
  compress_to(*model.get(), {Type::F16}, 0.6);
  EXPECT_LT(relative_difference(logits_of(model.get()), logits_of(written_)), 0.01);
  for (const char* name : {"blk.0.attn_norm.weight", "blk.1.ffn_norm.weight"})
    EXPECT_FALSE(same_bytes(*model.get(), *written_, name)) << name;
  EXPECT_EQ(same_bytes(*model.get(), *written_, "output_norm.weight"), model.get()->tied());
  if (model.get()->layers[1].v_bias) {
    EXPECT_FALSE(same_bytes(*model.get(), *written_, "blk.1.attn_v.bias"));
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ScaledColumnsOf,
                         testing::Values("llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2",
                                         "mixtral", "qwen2moe"),
                         [](const auto& of) { return std::string(of.param); });

// The grid of a quantized source is what it is: other scales would leave it.
TEST_F(ScaledColumns, LeaveQuantizedSourcesAlone) {
  const TemporaryModel model({.architecture = "qwen2", .n_layers = 1}, Type::Q8_0);
  compress_to(*model.get(), {}, 0.7);
  for (const Tensor& tensor : model.get()->tensors)
    if (tensor.rows() == 1) {
      EXPECT_TRUE(same_bytes(*model.get(), *written_, tensor.name)) << tensor.name;
    }
}

}  // namespace
}  // namespace enxuto
