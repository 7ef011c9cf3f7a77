// Evaluation on tiny models: what it refuses, and figures that are known beforehand.
#include "infer/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "infer/scores.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

constexpr uint32_t kChunk = 32;

std::string text() {
  std::string words;
  for (int i = 0; i < 40; ++i)
    words += "the rain in Spain stays mainly " + std::to_string(i) + "\n";
  return words;
}

EvaluateOptions options() { return {evaluation_request(kChunk, 1), 3}; }

Result<Evaluation> evaluate_with_tokenizer(const std::shared_ptr<const Model>& model,
                                           const std::shared_ptr<const Model>& reference,
                                           std::string_view words, const EvaluateOptions& how,
                                           const Progress& progress) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model->metadata));
  return evaluate(model, *tokenizer, reference, words, how, progress);
}

TEST(Evaluate, FindsNoDivergenceFromItself) {
  const TemporaryModel model({.architecture = "gemma3"}, Type::F32);
  double done = 0;
  const auto e = evaluate_with_tokenizer(model.get(), model.get(), text(), options(),
                                         [&](std::string_view, double share) { done = share; });
  ASSERT_TRUE(e.ok()) << e.status().what();
  EXPECT_EQ(e->chunks, 3u);
  EXPECT_EQ(e->scored_tokens, 3 * (kChunk / 2 - 1));
  EXPECT_NEAR(e->kld_max, 0, 1e-5);
  EXPECT_EQ(e->same_top, 1);
  EXPECT_DOUBLE_EQ(e->perplexity, e->reference_perplexity);
  EXPECT_EQ(done, 1);
}

// The rule by hand: BOS in place of a chunk's first token, the second half scored, one token ahead.
TEST(Evaluate, ScoresTheSecondHalfOfEachChunk) {
  const TemporaryModel model({.architecture = "llama", .add_bos = true}, Type::F32);
  const auto e = evaluate_with_tokenizer(model.get(), nullptr, text(), options(), {});
  ASSERT_TRUE(e.ok()) << e.status().what();
  const auto tokenizer = Tokenizer::create(model.get()->metadata);
  ASSERT_TRUE(tokenizer.ok());
  std::string whole = text();
  whole.pop_back();
  const std::vector<Token> tokens = (*tokenizer)->encode(whole, true, false);
  InferenceRequest request;
  request.context = kChunk;
  auto session = Session::open(model.get(), request);
  ASSERT_TRUE(session.ok());
  double nll = 0;
  for (uint32_t c = 0; c < 3; ++c) {
    std::vector<Token> chunk(tokens.begin() + c * kChunk, tokens.begin() + (c + 1) * kChunk);
    chunk[0] = (*tokenizer)->bos();
    (*session)->rewind(0);
    for (uint32_t i = 0; i + 1 < kChunk; ++i) {
      const auto logits = (*session)->feed({&chunk[i], 1});
      ASSERT_TRUE(logits.ok());
      if (i >= kChunk / 2) nll += score_row(*logits, {}, chunk[i + 1]).nll;
    }
  }
  EXPECT_NEAR(e->perplexity, std::exp(nll / (3 * (kChunk / 2 - 1))), 1e-3 * e->perplexity);
}

// An outlier spoils the other codes of its 256, which share a scale as llama.cpp has it, and those
// of its 32 as run has it.
TEST(Evaluate, RoundsAsRunDoesWhereThatIsAskedFor) {
  const TinyModel tiny = tiny_model(TinyOptions::of("llama", Type::Q6_K));
  const TemporaryModel model(tiny, Type::Q6_K), reference(tiny, Type::F32);
  EvaluateOptions how = options();
  const auto as_llama_cpp = evaluate_with_tokenizer(model.get(), reference.get(), text(), how, {});
  how.as_run = true;
  const auto as_run = evaluate_with_tokenizer(model.get(), reference.get(), text(), how, {});
  ASSERT_TRUE(as_llama_cpp.ok() && as_run.ok());
  EXPECT_LT(as_run->kld_mean, 0.7 * as_llama_cpp->kld_mean);
  EXPECT_GT(as_run->kld_mean, 0);
}

TEST(Evaluate, NamesTheTensorThatHoldsNoNumbers) {
  TinyModel tiny = tiny_model({});
  const TemporaryModel sound(tiny, Type::F32);
  tiny.find("blk.1.ffn_down.weight")->values[40] = NAN;
  const TemporaryModel damaged(tiny, Type::F32);
  for (const auto& [model, reference] :
       {std::pair(damaged.get(), sound.get()), {sound.get(), damaged.get()}}) {
    const Status status = evaluate_with_tokenizer(model, reference, text(), options(), {}).status();
    EXPECT_EQ(status.code(), Code::kBadInput);
    EXPECT_NE(status.what().find("blk.1.ffn_down.weight"), std::string::npos) << status.what();
  }
}

TEST(Evaluate, RefusesShortTextsAndOtherVocabularies) {
  const TemporaryModel model(TinyOptions{}, Type::F32);
  const Status brief =
      evaluate_with_tokenizer(model.get(), nullptr, "too short", options(), {}).status();
  EXPECT_EQ(brief.code(), Code::kBadInput);
  EXPECT_NE(brief.todo().find("64"), std::string::npos) << brief.todo();
  auto other = std::make_shared<Model>();
  other->hyper = model.get()->hyper;
  other->hyper.vocabulary += 1;
  EXPECT_EQ(evaluate_with_tokenizer(model.get(), other, text(), options(), {}).status().code(),
            Code::kBadInput);
}

}  // namespace
}  // namespace enxuto
