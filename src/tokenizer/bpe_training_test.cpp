// Vocabularies against Hugging Face's trainer, and what must hold of any text.
#include "tokenizer/bpe_training.h"

#include <gtest/gtest.h>

#include "tokenizer/text_cuts.h"
#include "tokenizer/tiny_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {
namespace {

using nlohmann::json;

const json& golden() {
  static const json data = read_testdata("bpe_training.json");
  return data;
}

BpeTrainer trainer(size_t most_words = BpeTrainer::kMostWords) {
  return std::move(BpeTrainer::create(most_words)).value();
}

std::vector<std::string> strings_at(const Metadata& metadata, const std::string& key) {
  std::vector<std::string> texts;
  const auto views = metadata.find("tokenizer.ggml." + key)->as_strings();
  for (const std::string_view view : *views) texts.emplace_back(view);
  return texts;
}

Metadata trained(std::string_view text, uint32_t n_tokens) {
  BpeTrainer bpe = trainer();
  bpe.add(text);
  return std::move(bpe.train(n_tokens, {})).value();
}

TEST(BpeTraining, MakesTheVocabularyThatHuggingFaceMakes) {
  const Metadata metadata = trained(golden()["text"].get<std::string>(),
                                    static_cast<uint32_t>(golden()["tokens"].size()));
  EXPECT_EQ(json(strings_at(metadata, "tokens")), golden()["tokens"]);
  EXPECT_EQ(json(strings_at(metadata, "merges")), golden()["merges"]);
  const auto tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().what();
  EXPECT_EQ(json((*tokenizer)->encode(golden()["text"].get<std::string>(), true, false)),
            golden()["ids"]);
}

TEST(BpeTraining, ATextInPartsGivesTheSame) {
  const auto text = golden()["text"].get<std::string>();
  const TextCuts cuts;
  BpeTrainer bpe = trainer();
  for (std::string_view rest = text; !rest.empty();) {
    size_t part = rest.size() > 100 ? cuts.last(rest.substr(0, 100)) : rest.size();
    if (part == 0) part = cuts.last(rest);
    if (part == 0) part = rest.size();
    bpe.add(rest.substr(0, part));
    rest.remove_prefix(part);
  }
  const auto n = static_cast<uint32_t>(golden()["tokens"].size());
  EXPECT_EQ(json(strings_at(*bpe.train(n, {}), "tokens")), golden()["tokens"]);
}

TEST(BpeTraining, BytesAloneAreATokenizer) {
  const Metadata metadata = trained("some text", kLeastBpeTokens);
  EXPECT_TRUE(strings_at(metadata, "merges").empty());
  const auto tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().what();
  EXPECT_EQ((*tokenizer)->vocabulary_size(), kLeastBpeTokens);
  EXPECT_EQ((*tokenizer)->bos(), 0);
  EXPECT_EQ((*tokenizer)->eos(), 0);
  EXPECT_FALSE((*tokenizer)->adds_bos());
  EXPECT_TRUE((*tokenizer)->ends_generation(0));
  const std::string text = "Olá, <|endoftext|> 日本\n";
  const auto tokens = (*tokenizer)->encode(text, true, false);
  EXPECT_EQ(tokens.size(), text.size());
  EXPECT_EQ((*tokenizer)->decode(tokens), text);
}

TEST(BpeTraining, HasFewerTokensWhereNothingRepeats) {
  const Metadata metadata = trained("ab ab ba", 1000);
  EXPECT_EQ(strings_at(metadata, "merges"), std::vector<std::string>{"a b"});
  EXPECT_EQ(strings_at(trained("", 1000), "tokens").size(), kLeastBpeTokens);
}

TEST(BpeTraining, OfPairsEquallyFrequentTheLowestComesFirst) {
  EXPECT_EQ(strings_at(trained("xy xy ab ab", 258), "merges"), std::vector<std::string>{"a b"});
  EXPECT_EQ(strings_at(trained("xyz xyz", 258), "merges"), std::vector<std::string>{"x y"});
}

TEST(BpeTraining, ForgetsRareWordsWhereThereAreTooMany) {
  BpeTrainer bpe = trainer(8);
  for (int i = 0; i < 50; i++)  // new words all the time, and one that comes back
    bpe.add("\nword" + std::string(1, static_cast<char>('a' + i % 26)) + std::string(i, 'q'));
  EXPECT_GT(bpe.n_forgotten(), 20u);
  EXPECT_LT(bpe.n_forgotten(), bpe.n_words());
  bpe.add(std::string(5000, 'z'));
  const uint64_t forgotten = bpe.n_forgotten();
  bpe.add(std::string(5000, 'z'));
  EXPECT_EQ(bpe.n_forgotten(), forgotten + 1);
  EXPECT_TRUE(bpe.train(300, {}).ok());
}

TEST(BpeTraining, RefusesSizesThatNoVocabularyHas) {
  EXPECT_EQ(trainer().train(256, {}).status().code(), Code::kUsage);
  EXPECT_EQ(trainer().train(kMostBpeTokens + 1, {}).status().code(), Code::kUsage);
}

TEST(BpeTraining, TellsItsProgress) {
  BpeTrainer bpe = trainer();
  bpe.add(golden()["text"].get<std::string>());
  double last = 0;
  const auto metadata = bpe.train(600, [&](std::string_view, double done) {
    EXPECT_GE(done, last);
    last = done;
  });
  EXPECT_GT(last, 0.5);
  EXPECT_LE(last, 1.0);
}

}  // namespace
}  // namespace enxuto
