#include "models/blank.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

Metadata tokenizer(size_t n_tokens) {
  Metadata metadata;
  metadata.set_string("tokenizer.ggml.model", "gpt2");
  metadata.set_strings("tokenizer.ggml.tokens", std::vector<std::string_view>(n_tokens, "t"));
  metadata.set_string("general.architecture", "of another model");
  return metadata;
}

uint64_t count(const Model& model) {
  uint64_t n = 0;
  for (const Tensor& tensor : model.tensors) n += tensor.count();
  return n;
}

TEST(BlankModel, HasTheTensorsOfItsArchitecture) {
  for (const char* architecture : {"llama", "qwen2", "qwen3", "gemma3"}) {
    const auto model = blank_model({architecture, 3, 128, 4, 2, 320, 256}, tokenizer(300));
    ASSERT_TRUE(model.ok()) << model.status().what();
    const HyperParameters& h = (*model)->hyper;
    EXPECT_EQ(h.architecture, architecture);
    EXPECT_EQ(h.vocabulary, 300u);
    EXPECT_EQ(h.key_dim, 32u);
    EXPECT_EQ(h.n_kv_heads, 2u);
    EXPECT_EQ(h.trained_context, 256u);
    EXPECT_TRUE((*model)->tied());
  }
}

TEST(BlankModel, HasPositionsAndBiasesWhereItsArchitectureHas) {
  const auto model = blank_model({"gpt2", 3, 128, 4, 4, 512, 256}, tokenizer(300));
  ASSERT_TRUE(model.ok()) << model.status().what();
  const Model& m = **model;
  ASSERT_NE(m.position_embedding, nullptr);
  EXPECT_EQ(m.position_embedding->rows(), 256u);
  EXPECT_NE(m.output_norm_bias, nullptr);
  EXPECT_EQ(m.layers[2].qkv->rows(), 384u);
  EXPECT_EQ(m.layers[2].q, nullptr);
  EXPECT_EQ(m.layers[2].up_bias->count(), 512u);
  EXPECT_EQ(m.hyper.rope_dims, 0u);
}

TEST(BlankModel, IsAsLargeAsAsked) {
  for (const uint64_t wanted : {300'000u, 1'000'000u, 5'000'000u, 10'000'000u, 124'000'000u})
    for (const uint32_t vocabulary : {257u, 4096u}) {
      const auto shape = shape_of_size(wanted, vocabulary, 256);
      const auto plain = shape_of_size(wanted, vocabulary, 256, "gpt2");
      if (wanted < 2 * 64 * uint64_t{vocabulary}) continue;  // hardly more than the embedding
      ASSERT_TRUE(shape.ok()) << shape.status().what();
      const auto model = blank_model(*shape, tokenizer(vocabulary));
      ASSERT_TRUE(model.ok());
      EXPECT_EQ(count(**model), parameters_of(*shape, vocabulary));
      EXPECT_NEAR(static_cast<double>(count(**model)), static_cast<double>(wanted), 0.15 * wanted);
      ASSERT_TRUE(plain.ok()) << plain.status().what();
      EXPECT_EQ(count(**blank_model(*plain, tokenizer(vocabulary))),
                parameters_of(*plain, vocabulary));
    }
  EXPECT_EQ(shape_of_size(1000, 257, 256).status().code(), Code::kUsage);
}

TEST(BlankModel, RefusesShapesThatCannotBe) {
  const ModelShapeRequest wrong[] = {{"mamba", 2, 64, 2, 2, 64, 32},
                                     {"llama", 0, 64, 2, 2, 64, 32},
                                     {"llama", 2, 64, 3, 3, 64, 32},
                                     {"llama", 2, 64, 4, 4, 64, 32},  // heads of 16
                                     {"llama", 2, 128, 4, 3, 64, 32}};
  for (const ModelShapeRequest& request : wrong)
    EXPECT_EQ(blank_model(request, tokenizer(300)).status().code(), Code::kUsage);
  EXPECT_FALSE(blank_model({"llama", 2, 64, 2, 2, 64, 32}, Metadata()).ok());
}

}  // namespace
}  // namespace enxuto
