#include "models/blank.h"

#include <gtest/gtest.h>

#include <string>

namespace enxuto {
namespace {

Metadata tokenizer(size_t n_tokens) {
  Metadata metadata;
  metadata.set_string("tokenizer.ggml.model", "gpt2");
  metadata.set_strings("tokenizer.ggml.tokens", std::vector<std::string_view>(n_tokens, "t"));
  metadata.set_string("general.architecture", "of another model");
  return metadata;
}

ModelShapeRequest kind(const char* architecture) {
  ModelShapeRequest request;
  request.architecture = architecture, request.context = 256;
  return request;
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

TEST(BlankModel, HasExperts) {
  const auto mixtral = blank_model({"llama", 2, 128, 4, 2, 96, 64, 6, 3}, tokenizer(300));
  ASSERT_TRUE(mixtral.ok()) << mixtral.status().what();
  EXPECT_EQ((*mixtral)->hyper.n_experts, 6u);
  EXPECT_EQ((*mixtral)->hyper.n_experts_used, 3u);
  EXPECT_EQ((*mixtral)->layers[1].down->shape[0], 96u);
  EXPECT_EQ((*mixtral)->layers[1].down->shape[2], 6u);
  EXPECT_TRUE((*mixtral)->tied());
  for (const char* architecture : {"qwen2moe", "qwen3moe"}) {
    const auto model = blank_model({architecture, 2, 128, 4, 4, 96, 64}, tokenizer(300));
    ASSERT_TRUE(model.ok()) << model.status().what();
    const Model& m = **model;
    EXPECT_EQ(m.hyper.n_experts, 8u);
    EXPECT_EQ(m.hyper.n_experts_used, 2u);
    EXPECT_EQ(m.hyper.ffn_width, 96u);
    EXPECT_EQ(m.layers[0].gate->rows(), 8u * 96);
    const bool shared = std::string(architecture) == "qwen2moe";
    EXPECT_EQ(m.layers[0].shared_up != nullptr, shared);
    if (shared) {
      EXPECT_EQ(m.layers[0].shared_up->rows(), 96u);
    }
    EXPECT_EQ(m.tied(), !shared) << "llama.cpp wants a head of its own";
  }
}

TEST(BlankModel, IsAsLargeAsAsked) {
  for (const uint64_t wanted : {300'000u, 1'000'000u, 5'000'000u, 10'000'000u, 124'000'000u})
    for (const uint32_t vocabulary : {257u, 4096u}) {
      const auto shape = shape_of_size(wanted, vocabulary, kind("llama"));
      const auto plain = shape_of_size(wanted, vocabulary, kind("gpt2"));
      const auto mixture = shape_of_size(wanted, vocabulary, kind("qwen3moe"));
      if (wanted < 2 * 64 * uint64_t{vocabulary}) continue;  // hardly more than the embedding
      ASSERT_TRUE(shape.ok()) << shape.status().what();
      const auto model = blank_model(*shape, tokenizer(vocabulary));
      ASSERT_TRUE(model.ok());
      EXPECT_EQ(count(**model), parameters_of(*shape, vocabulary));
      EXPECT_NEAR(static_cast<double>(count(**model)), static_cast<double>(wanted), 0.15 * wanted);
      ASSERT_TRUE(plain.ok()) << plain.status().what();
      EXPECT_EQ(count(**blank_model(*plain, tokenizer(vocabulary))),
                parameters_of(*plain, vocabulary));
      if (!mixture.ok()) continue;  // a layer of eight experts is large
      const double experts =
          static_cast<double>(count(**blank_model(*mixture, tokenizer(vocabulary))));
      EXPECT_NEAR(experts, static_cast<double>(wanted), 0.35 * wanted);
      EXPECT_LT(mixture->n_experts_used * mixture->ffn_width, 2 * shape->ffn_width + 512);
    }
  EXPECT_EQ(shape_of_size(1000, 257, kind("llama")).status().code(), Code::kUsage);
}

TEST(BlankModel, RefusesShapesThatCannotBe) {
  const ModelShapeRequest wrong[] = {
      {"mamba", 2, 64, 2, 2, 64, 32},       {"llama", 0, 64, 2, 2, 64, 32},
      {"llama", 2, 64, 3, 3, 64, 32},       {"llama", 2, 64, 4, 4, 64, 32},       // heads of 16
      {"llama", 2, 128, 4, 3, 64, 32},      {"gpt2", 2, 64, 2, 2, 64, 32, 8, 2},  // no experts
      {"llama", 2, 64, 2, 2, 64, 32, 1, 1},                                       // one expert
      {"llama", 2, 64, 2, 2, 64, 32, 8, 9}};  // more than there are
  for (const ModelShapeRequest& request : wrong)
    EXPECT_EQ(blank_model(request, tokenizer(300)).status().code(), Code::kUsage);
  EXPECT_FALSE(blank_model({"llama", 2, 64, 2, 2, 64, 32}, Metadata()).ok());
}

}  // namespace
}  // namespace enxuto
