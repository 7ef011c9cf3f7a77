#include "plan/plan.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "plan/gradient_layout.h"

namespace enxuto {
namespace {

// SmolLM2-135M's shape.
void shape(Model& model) {
  HyperParameters& h = model.hyper;
  h.n_layers = 30, h.width = 576, h.n_heads = 9, h.n_kv_heads = 3, h.key_dim = h.value_dim = 64;
  h.ffn_width = 1536, h.vocabulary = 49152, h.trained_context = 8192, h.rope_dims = 64;
  model.tensors.resize(2);
  for (Tensor& tensor : model.tensors) {
    tensor.name = "t";
    tensor.type = Type::Q4_1;
    tensor.n_dims = 2;
    tensor.shape[0] = 1024, tensor.shape[1] = 100000;
  }
  model.file_bytes = 2 * 64000000 + 1000000;
}

InferenceRequest request_of(uint32_t context) {
  InferenceRequest request;
  request.context = context;
  return request;
}

TEST(Plan, CountsWeightsCacheAndLogitsExactly) {
  Model model;
  shape(model);
  const auto map = plan_inference(model, request_of(2048));
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->find(owner::kWeights)->bytes, 128000000u);
  EXPECT_EQ(map->find(owner::kWeights)->kind, PartKind::kMapped);
  EXPECT_EQ(map->find(owner::kKvCache)->bytes, 30u * (192 + 192) * 2048 * 2);
  EXPECT_EQ(map->find(owner::kLogits)->bytes, 49152u * 4);
  EXPECT_EQ(map->find(owner::kVocabulary)->bytes, 1000000u + 49152 * 64);
  InferenceRequest asked = request_of(2048);
  asked.tokenizer_bytes = 7;
  EXPECT_EQ(plan_inference(model, asked)->find(owner::kVocabulary)->bytes, 1000007u);
}

TEST(Plan, DefaultsToTheTrainedContextUpTo4096) {
  Model model;
  shape(model);
  EXPECT_EQ(lay_out_session(model, {})->context, 4096u);
  model.hyper.trained_context = 1000;
  EXPECT_EQ(lay_out_session(model, {})->context, 1000u);
}

TEST(Plan, PassesAreNoLongerThanTheContext) {
  Model model;
  shape(model);
  InferenceRequest request = request_of(20);
  request.batch = 500, request.logit_rows = 1000;
  const auto layout = lay_out_session(model, request);
  EXPECT_EQ(layout->batch, 20u);
  EXPECT_EQ(layout->logit_rows, 20u);
  request.batch = 0;
  EXPECT_EQ(lay_out_session(model, request).status().code(), Code::kUsage);
}

// hidden + max(normed, attended, fed) + max(q k v, gate up) rows, and the rest is small.
TEST(Plan, SharesScratchBetweenWhatIsNeverAliveTogether) {
  Model model;
  shape(model);
  const uint64_t one = lay_out_session(model, request_of(2048))->scratch.bytes;
  InferenceRequest twice = request_of(2048);
  twice.batch *= 2;
  const uint64_t two = lay_out_session(model, twice)->scratch.bytes;
  const uint64_t per_token = (two - one) / InferenceRequest().batch;
  EXPECT_GE(per_token, 4u * (576 + 576 + 2 * 1536));
  EXPECT_LE(per_token, 4u * (576 + 576 + 2 * 1536) + 2u * 1536 + 300);  // its input in bf16
}

TEST(Plan, SlidingLayersKeepTheirWindowAndABatch) {
  Model model;
  shape(model);
  model.hyper.sliding_window = 512, model.hyper.sliding_pattern = 6;
  const auto layout = lay_out_session(model, request_of(8192));
  EXPECT_EQ(layout->kv[0].rows, 512u + 192);
  EXPECT_EQ(layout->kv[5].rows, 8192u);
  EXPECT_EQ(layout->kv_bytes, (25u * 704 + 5 * 8192) * 384 * 2);
  EXPECT_EQ(lay_out_session(model, request_of(100))->kv[0].rows, 100u);
}

TEST(Plan, ALayersCacheHasItsOwnHeads) {
  Model model;
  shape(model);
  model.hyper.n_layers = 3;
  model.hyper.uneven = {{9, 3, 1536}, {0, 0, 1536}, {4, 2, 512}};
  const auto layout = lay_out_session(model, request_of(2048));
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->kv_bytes, (3u + 0 + 2) * 128 * 2 * 2048);
  EXPECT_EQ(layout->kv[1].offset, layout->kv[2].offset);
  const auto map = plan_inference(model, request_of(2048));
  EXPECT_EQ(map->find(owner::kKvCache)->why, "5 heads in 2 layers x (64 + 64) x 2,048 tokens, f16");
  Model even;
  shape(even);
  even.hyper.n_layers = 3;
  EXPECT_EQ(layout->scratch.bytes, lay_out_session(even, request_of(2048))->scratch.bytes);
}

TEST(Plan, CountsTheCacheInItsFormats) {
  Model model;
  shape(model);
  InferenceRequest request = request_of(2048);
  request.kv = {{Type::Q8_0, Type::Q4_0}};
  auto map = plan_inference(model, request);
  ASSERT_TRUE(map.ok()) << map.status().what();
  EXPECT_EQ(map->find(owner::kKvCache)->bytes, 30u * 3 * (68 + 36) * 2048);
  EXPECT_NE(map->find(owner::kKvCache)->why.find("K q8_0, V q4_0"), std::string::npos);
  request.kv = {{Type::F16, Type::F16}, {Type::Q8_0, Type::Q8_0}};  // the first layer apart
  map = plan_inference(model, request);
  ASSERT_TRUE(map.ok()) << map.status().what();
  EXPECT_EQ(map->find(owner::kKvCache)->bytes, 3u * (256 + 29 * 136) * 2048);
  request.kv.assign(32, {});
  EXPECT_EQ(plan_inference(model, request).status().code(), Code::kUsage);
  request.kv = {{Type::Q8_0, Type::F16}};
  model.hyper.key_dim = 48;  // no whole blocks
  EXPECT_EQ(plan_inference(model, request).status().code(), Code::kUsage);
}

// Training holds a block of it at once.
TEST(Plan, AStreamedHeadIsCutWhereItsBlocksEnd) {
  Model model;
  shape(model);
  Tensor& head = model.tensors[0];
  head.type = Type::F16, head.shape[0] = 600, head.shape[1] = 10'000;
  model.output = &head;
  const WeightPlan plan = plan_streaming(model, 0, /*holds_layers=*/true);
  uint64_t rows = 0;
  uint32_t of_first_block = 0;
  for (const WeightPiece& slice : plan.slices) {
    EXPECT_EQ(slice.first_row, rows);
    rows += slice.n_rows;
    EXPECT_EQ(slice.first_row / kVocabularyBlock, (rows - 1) / kVocabularyBlock);
    of_first_block += slice.first_row < kVocabularyBlock;
  }
  EXPECT_EQ(rows, 10'000u);
  EXPECT_GT(of_first_block, 1u);
  EXPECT_GT(plan.n_slots, of_first_block) << "one of them is read ahead";
}

TEST(Plan, RefusesSizesBeyondReason) {
  Model model;
  shape(model);
  for (uint32_t HyperParameters::*field :
       {&HyperParameters::width, &HyperParameters::n_kv_heads, &HyperParameters::key_dim,
        &HyperParameters::ffn_width, &HyperParameters::vocabulary, &HyperParameters::rope_dims,
        &HyperParameters::sliding_window}) {
    Model lying;
    shape(lying);
    lying.hyper.n_heads = lying.hyper.value_dim = 1u << 31;
    lying.hyper.*field = UINT32_MAX;
    InferenceRequest request = request_of(UINT32_MAX);
    request.batch = request.logit_rows = UINT32_MAX;
    EXPECT_EQ(plan_inference(lying, request).status().code(), Code::kDoesNotFit);
  }
}

TEST(CheckFits, SaysTheLongestContextThatFits) {
  Model model;
  shape(model);
  const uint64_t needed = plan_inference(model, request_of(8192))->total_bytes();
  EXPECT_TRUE(check_fits(model, request_of(8192), needed).ok());
  const uint64_t budget = needed - 100 * kMiB;
  const Status status = check_fits(model, request_of(8192), budget);
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.what().find(format_bytes(needed)), std::string::npos) << status.what();
  const uint32_t longest = largest_context(model, request_of(8192), budget);
  EXPECT_NE(status.todo().find("--context " + format_count(longest) + " instead of 8,192"),
            std::string::npos)
      << status.todo();
  EXPECT_LE(plan_inference(model, request_of(longest))->total_bytes(), budget);
  EXPECT_GT(plan_inference(model, request_of(longest + 1))->total_bytes(), budget);
}

TEST(CheckFits, PrefersAShorterPassToAShorterContext) {
  Model model;
  shape(model);
  const uint64_t needed = plan_inference(model, request_of(8192))->total_bytes();
  const Status status = check_fits(model, request_of(8192), needed - kMiB);
  EXPECT_NE(status.todo().find("--batch 16 instead of 192"), std::string::npos) << status.todo();
  EXPECT_EQ(status.todo().find("--context"), std::string::npos) << status.todo();
}

TEST(CheckFits, PrefersASmallerCacheToAShorterContext) {
  Model model;
  shape(model);
  InferenceRequest rounded = request_of(8192);
  rounded.kv = {{Type::Q8_0, Type::Q8_0}};
  const uint64_t enough = plan_inference(model, rounded)->total_bytes();
  Status status = check_fits(model, request_of(8192), enough);
  EXPECT_NE(status.todo().find("-ctk q8_0 -ctv q8_0 saves"), std::string::npos) << status.todo();
  EXPECT_EQ(status.todo().find("--batch"), std::string::npos) << status.todo();
  // Two changes, before a context of less than three quarters.
  rounded.batch = kShortPass;
  status = check_fits(model, request_of(8192), plan_inference(model, rounded)->total_bytes());
  EXPECT_NE(status.todo().find("--batch 16 instead of 192, with -ctk q8_0 -ctv q8_0 saves"),
            std::string::npos)
      << status.todo();
  // Not what is so already.
  rounded.batch = 192;
  EXPECT_EQ(check_fits(model, rounded, enough - 10 * kMiB).todo().find("-ctk"), std::string::npos);
}

TEST(CheckFits, SaysTheLeastWhereNothingHelps) {
  Model model;
  shape(model);
  const Status status = check_fits(model, request_of(8192), 100 * kMiB);
  EXPECT_NE(status.todo().find("compress it"), std::string::npos) << status.todo();
  EXPECT_EQ(largest_context(model, request_of(8192), 100 * kMiB), 0u);
}

}  // namespace
}  // namespace enxuto
