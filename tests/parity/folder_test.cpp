// A Hugging Face folder answers as the GGUF file of the same weights does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "infer/session.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

// Enough tokens for gemma3's window of eight to slide.
const std::vector<Token> kTokens = {10, 200, 31, 4,  77, 123, 9,   250, 18, 66,
                                    5,  101, 44, 17, 3,  280, 150, 90,  12, 64};

std::vector<float> logits_of(const std::shared_ptr<const Model>& model) {
  InferenceRequest request;
  request.context = 32;
  request.batch = 6;
  auto session = Session::open(model, request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  if (!session.ok()) return {};
  const auto logits = (*session)->feed(kTokens);
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  return logits.ok() ? std::vector<float>(logits->begin(), logits->end()) : std::vector<float>();
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  float most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(a[i] - b[i]));
  return most;
}

class Folder : public testing::TestWithParam<TinyOptions> {};

TEST_P(Folder, AnswersAsItsGgufFile) {
  const TinyModel tiny = tiny_model(GetParam());
  const TemporaryModel folder(tiny), file(tiny, Type::F32);
  ASSERT_TRUE(folder.get() && file.get());
  const auto logits = logits_of(folder.get()), expected = logits_of(file.get());
  ASSERT_EQ(logits.size(), expected.size());
  // Logits spread over several units. Sums in another order may round a key of the f16 cache to its
  // neighbour; a bias in the wrong place makes a thousand times this.
  EXPECT_LT(largest_difference(logits, expected), 2e-3f);
}

// Matrices that had to be turned lie in no file, from which they could be streamed.
TEST(FolderOfGpt2, IsNotStreamed) {
  const TinyModel tiny = tiny_model({.architecture = "gpt2"});
  InferenceRequest request;
  request.context = 32;
  request.memory_bytes = 1;
  const auto of_folder = plan_weights(*TemporaryModel(tiny).get(), request),
             of_file = plan_weights(*TemporaryModel(tiny, Type::F32).get(), request);
  ASSERT_TRUE(of_folder.ok() && of_file.ok());
  EXPECT_FALSE(of_folder->streams);
  EXPECT_TRUE(of_file->streams);
}

TEST_P(Folder, ReadsTextAsItsGgufFile) {
  const TinyModel tiny = tiny_model(GetParam());
  const TemporaryModel folder(tiny), file(tiny, Type::F32);
  ASSERT_TRUE(folder.get() && file.get());
  const auto tokenizer = Tokenizer::create(folder.get()->metadata),
             expected = Tokenizer::create(file.get()->metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().what();
  const std::string text = "<|im_start|>the tone\n of 12 and another's ñ<|im_end|>";
  for (const bool special : {false, true})
    EXPECT_EQ((*tokenizer)->encode(text, true, special), (*expected)->encode(text, true, special));
  EXPECT_EQ((*tokenizer)->bos(), (*expected)->bos());
  EXPECT_EQ((*tokenizer)->adds_bos(), (*expected)->adds_bos());
  EXPECT_EQ(folder.get()->metadata.string_at("tokenizer.chat_template"),
            file.get()->metadata.string_at("tokenizer.chat_template"));
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, Folder, testing::ValuesIn(folder_models()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace

void PrintTo(const TinyOptions& options, std::ostream* out) { *out << name_of(options); }

}  // namespace enxuto
