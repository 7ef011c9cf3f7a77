// compress --prune auto: fewer parts where that is better than fewer bits, and else what compress
// writes.
#include "prune/prune_and_compress.h"

#include <fmt/format.h>

#include "tests/budget/budget.h"

namespace enxuto {
namespace {

class PruneAuto : public CompressBudget {
 protected:
  Result<ChosenCompression> prune_auto(const std::shared_ptr<const Model>& model, uint64_t target,
                                       uint64_t memory_bytes = 0) {
    CompressRequest request;
    request.target_bytes = target;
    request.effort = Effort::kFast;
    request.n_threads = 2;
    request.replace_output = true;
    request.memory_bytes = memory_bytes;
    return prune_and_compress(model, out(), request, {});
  }
  std::string bytes_of_output() const {
    const auto text = read_text_file(out(), 1 << 24);
    EXPECT_TRUE(text.ok());
    return text.ok() ? *text : "";
  }
};

// 40 % of the channels of each layer do nothing.
TinyModel half_idle() {
  TinyModel tiny = tiny_model({.architecture = "llama", .seed = 4});
  for (uint32_t l = 0; l < tiny.n_layers; ++l) {
    TinyTensor& down = *tiny.find(fmt::format("blk.{}.ffn_down.weight", l));
    const uint64_t idle = down.shape[0] * 2 / 5;
    for (uint64_t r = 0; r < down.shape[1]; ++r)
      for (uint64_t c = 0; c < idle; ++c) down.values[r * down.shape[0] + c] = 0;
  }
  return tiny;
}

TEST_F(PruneAuto, TakesOutWhatIsIdleAndIsCloserForIt) {
  const TemporaryModel model(half_idle(), Type::F32);
  const uint64_t target = model.get()->file_bytes * 22 / 100;
  const auto chosen = prune_auto(model.get(), target);
  ASSERT_TRUE(chosen.ok()) << chosen.status().what();
  EXPECT_GT(chosen->choice.share, 0);
  EXPECT_LT(chosen->choice.kld_pruned, chosen->choice.kld_unpruned);
  EXPECT_GT(chosen->choice.judged_tokens, 0u);
  EXPECT_LE(chosen->report.file_bytes, target);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"out.gguf"});
  const auto after = open_model(out());
  ASSERT_TRUE(after.ok()) << after.status().what();
  EXPECT_EQ((*after)->file_bytes, chosen->report.file_bytes);
  EXPECT_LT((*after)->hyper.ffn_width, model.get()->hyper.ffn_width);
}

TEST_F(PruneAuto, WritesWhatCompressWritesWhereNothingIsGained) {
  const TemporaryModel model({.architecture = "llama"}, Type::F32);
  const uint64_t target = model.get()->file_bytes * 30 / 100;
  ASSERT_TRUE(run(*model.get(), target).ok());
  const std::string without = bytes_of_output();
  const auto chosen = prune_auto(model.get(), target);
  ASSERT_TRUE(chosen.ok()) << chosen.status().what();
  EXPECT_EQ(chosen->choice.share, 0);
  EXPECT_GT(chosen->choice.weighed.size(), 1u);
  EXPECT_EQ(chosen->choice.weighed.front().share, 0);
  EXPECT_EQ(chosen->choice.weighed.front().predicted_kld, chosen->report.predicted_kld);
  EXPECT_TRUE(bytes_of_output() == without);
  EXPECT_TRUE(chosen->report.curve.points.empty()) << "nobody asked for it";
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"out.gguf"});
}

// Smaller than bits alone can make it.
TEST_F(PruneAuto, ReachesSizesThatBitsAloneDoNot) {
  const TemporaryModel model(half_idle(), Type::F32);
  CompressRequest request;
  const auto smallest = smallest_file_bytes(model.get(), request);
  ASSERT_TRUE(smallest.ok());
  const uint64_t target = *smallest * 96 / 100;
  EXPECT_FALSE(run(*model.get(), target).ok());
  const auto chosen = prune_auto(model.get(), target);
  ASSERT_TRUE(chosen.ok()) << chosen.status().what() << "; " << chosen.status().todo();
  EXPECT_LE(chosen->report.file_bytes, target);
  EXPECT_GT(chosen->choice.share, 0);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"out.gguf"});
}

TEST_F(PruneAuto, RefusesWhatCannotBe) {
  const TemporaryModel model({.architecture = "llama"}, Type::F32);
  for (const auto& chosen :
       {prune_auto(model.get(), 1000), prune_auto(model.get(), 200000, 1 << 20)}) {
    ASSERT_FALSE(chosen.ok());
    EXPECT_EQ(chosen.status().code(), Code::kDoesNotFit);
    EXPECT_FALSE(chosen.status().todo().empty());
  }
  EXPECT_TRUE(is_empty());
  const TemporaryModel gemma({.architecture = "gemma3"}, Type::F16);
  EXPECT_FALSE(can_prune_and_compress(*gemma.get()).ok());
}

TEST(KldAt, LiesBetweenPointsInLogarithms) {
  const Curve curve{{{100, 100, 1.0, {}}, {200, 200, 0.01, {}}}, {}};
  EXPECT_FALSE(kld_at(curve, 99));
  EXPECT_DOUBLE_EQ(*kld_at(curve, 100), 1.0);
  EXPECT_NEAR(*kld_at(curve, 150), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(*kld_at(curve, 1000), 0.01);
}

}  // namespace
}  // namespace enxuto
