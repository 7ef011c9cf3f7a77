// Parts of texts give the tokens of the whole, with every pre-tokenizer.
#include "tokenizer/text_cuts.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer/tiny_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {
namespace {

using nlohmann::json;

// What pre-tokenizers treat in ways of their own, side by side in any order.
std::string hard_text(std::mt19937& random) {
  static const std::vector<std::string> pieces = {
      "a",    "Bc",       "word",     " ",          "  ",     "\n",     "\n\n",   "\r\n", "\t",
      "1",    "2024",     ".",        ",",          "'s",     "'",      "/",      "!",    "=",
      "é",    "日本",     "。",       "，",         "\u00a0", "\u3000", "\u0301", "👍",   "’",
      "\xff", "\xc0\xa0", "\xe6\x97", "<|im_end|>", "ß",      "Я",      "٣"};
  std::string text;
  const size_t n = 1 + random() % 40;
  for (size_t i = 0; i < n; i++) text += pieces[random() % pieces.size()];
  return text;
}

// Cut wherever it may be, each part again.
std::vector<Token> in_parts(const Tokenizer& tokenizer, const TextCuts& cuts, std::string_view text,
                            size_t& n_cuts) {
  std::vector<size_t> places;
  for (size_t end = text.size(); (end = cuts.last(text.substr(0, end))) > 0;) places.push_back(end);
  n_cuts += places.size();
  std::vector<Token> tokens;
  size_t at = 0;
  for (; !places.empty(); places.pop_back()) {
    tokenizer.encode_part(text.substr(at, places.back() - at), at == 0, tokens);
    at = places.back();
  }
  tokenizer.encode_part(text.substr(at), at == 0, tokens);
  return tokens;
}

void expect_same_tokens(const Metadata& metadata, const std::string& what) {
  const auto tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer.ok()) << what;
  const TextCuts cuts(**tokenizer);
  std::mt19937 random(1);
  size_t n_cuts = 0;
  for (int i = 0; i < 4000; i++) {
    const std::string text = hard_text(random);
    ASSERT_EQ(in_parts(**tokenizer, cuts, text, n_cuts), (*tokenizer)->encode(text, false, false))
        << what << ": " << testing::PrintToString(text);
  }
  EXPECT_GT(n_cuts, 1000u) << what;
}

TEST(TextCuts, GiveTheSameTokensWithEveryPretokenizer) {
  for (const char* pre :
       {"default", "gpt-2", "smollm", "qwen2", "qwen35", "dbrx", "llama-bpe", "chatglm-bpe", "glm4",
        "falcon", "gpt-4o", "tekken", "seed-coder", "bailingmoe"})
    expect_same_tokens(
        tiny_metadata(tokenizer_goldens()["vocabularies"]["bpe"], pre, json::object()), pre);
}

TEST(TextCuts, GiveTheSameTokensOfSentencePiece) {
  for (const bool prefix : {true, false})
    expect_same_tokens(tiny_metadata(tokenizer_goldens()["vocabularies"]["spm"], "",
                                     {{"add_space_prefix", prefix}}),
                       prefix ? "with a space before" : "without");
}

TEST(TextCuts, NoTokenReachesAcross) {
  json vocabulary = tokenizer_goldens()["vocabularies"]["spm"];
  vocabulary["tokens"].push_back("x▁y"), vocabulary["scores"].push_back(0);
  vocabulary["types"].push_back(1);
  const Metadata metadata = tiny_metadata(vocabulary, "", json::object());
  const TextCuts cuts(**Tokenizer::create(metadata));
  EXPECT_EQ(cuts.last("x y"), 0u);
  EXPECT_EQ(cuts.last("y x"), 1u);
}

TEST(TextCuts, FindThePlacesThatTextsHave) {
  const TextCuts cuts;
  EXPECT_EQ(cuts.last("one two"), 3u);
  EXPECT_EQ(cuts.last("one\ntwo."), 4u);
  EXPECT_EQ(cuts.last("日本\n日本"), 7u);
  EXPECT_EQ(cuts.last("日本。日本"), 6u);
  for (const char* text : {"", "x", "endless", "\nx", "a  b", "a \nb", "a\n\nb", "a\r\nb", "a 1"})
    EXPECT_EQ(cuts.last(text), 0u) << text;
}

}  // namespace
}  // namespace enxuto
