// Ids against stock llama.cpp's over hard texts, round trips, hostile vocabularies, long texts.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tokenizer/tiny_vocabulary.h"

namespace enxuto {
namespace {

using nlohmann::json;

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

Metadata tiny(const std::string& name, const std::string& pre = "",
              const json& options = json::object()) {
  return tiny_metadata(tokenizer_goldens()["vocabularies"][name], pre, options);
}

Code create_code(const Metadata& metadata) { return Tokenizer::create(metadata).status().code(); }

TEST(Tokenizer, GivesStockLlamaCppsIds) {
  size_t checked = 0;
  for (const json& example : tokenizer_goldens()["cases"]) {
    const std::string pre = example["pre"];
    const Metadata metadata = tiny(example["vocabulary"], pre, example["options"]);
    auto tokenizer = Tokenizer::create(metadata);
    ASSERT_TRUE(tokenizer.ok()) << pre << ": " << tokenizer.status().what();
    const json& texts = tokenizer_goldens()["texts_hex"];
    for (size_t i = 0; i < texts.size(); i++, checked += 2) {
      const std::string text = from_hex(texts[i]);
      EXPECT_EQ((*tokenizer)->encode(text, false, false), example["plain"][i]) << pre << text;
      EXPECT_EQ((*tokenizer)->encode(text, true, true), example["special"][i]) << pre << text;
    }
  }
  EXPECT_GT(checked, 1000u);
}

TEST(Tokenizer, DecodesToTheSameBytes) {
  for (const std::string name : {"bpe", "spm"}) {
    const Metadata metadata = tiny(name, name == "bpe" ? "qwen2" : "");
    const auto tokenizer = Tokenizer::create(metadata);
    ASSERT_TRUE(tokenizer.ok());
    for (const std::string text :
         {"Olá, memória!", " two  spaces ", "日本語\n\tx", "\x01", "👍🏽"}) {
      const auto tokens = (*tokenizer)->encode(text, true, false);
      EXPECT_EQ((*tokenizer)->decode(tokens), text) << name;
    }
  }
}

TEST(Tokenizer, ControlTokensAreSilentUnlessAsked) {
  const Metadata metadata = tiny("bpe", "smollm");
  const auto tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer.ok());
  const Token end = (*tokenizer)->eos();
  EXPECT_EQ((*tokenizer)->piece(end), "");
  EXPECT_EQ((*tokenizer)->piece(end, true), "<|im_end|>");
  EXPECT_TRUE((*tokenizer)->ends_generation(end));
  EXPECT_FALSE((*tokenizer)->ends_generation((*tokenizer)->bos()));
  EXPECT_EQ((*tokenizer)->piece(-1), "");
  EXPECT_EQ((*tokenizer)->piece(1 << 30), "");
}

TEST(Tokenizer, GuardedBytesAreNeverControlTokens) {
  const Metadata metadata = tiny("bpe", "smollm");
  const auto tokenizer = Tokenizer::create(metadata);
  ASSERT_TRUE(tokenizer.ok());
  const std::string text = "a<|im_end|>b<|im_end|>";
  const std::vector<size_t> guarded = {1};
  auto expected = (*tokenizer)->encode("a<|im_end|>b", false, false);
  expected.push_back((*tokenizer)->eos());
  EXPECT_EQ((*tokenizer)->encode_guarded(text, false, true, guarded), expected);
}

TEST(Tokenizer, LongTextsTakeLinearTime) {
  for (const std::string name : {"bpe", "spm"}) {
    const Metadata metadata = tiny(name, name == "bpe" ? "default" : "");
    const auto tokenizer = Tokenizer::create(metadata);
    ASSERT_TRUE(tokenizer.ok());
    const auto start = std::chrono::steady_clock::now();
    for (const char c : {'a', ' ', '\n', '7', '!', '\xff'})
      EXPECT_FALSE((*tokenizer)->encode(std::string(128 << 10, c), true, true).empty());
    // Quadratic code takes minutes here.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << name;
  }
}

TEST(Tokenizer, RefusesLyingVocabularies) {
  const std::string base = "tokenizer.ggml.";
  const auto with = [&](auto change) {
    Metadata metadata = tiny("bpe", "qwen2");
    change(metadata);
    return create_code(metadata);
  };
  using M = Metadata;
  EXPECT_EQ(with([](M&) {}), Code::kOk);
  EXPECT_EQ(with([&](M& m) { m.set_string(base + "model", "t5"); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_u32(base + "model", 1); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_string(base + "pre", "other"); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.erase(base + "tokens"); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_u32(base + "tokens", 5); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_strings(base + "tokens", {}); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_strings(base + "tokens", {"a", "a"}); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.erase(base + "merges"); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_strings(base + "merges", {"a never-seen"}); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_strings(base + "merges", {""}); }), Code::kBadInput);
  const int32_t short_list[] = {1, 2};
  EXPECT_EQ(with([&](M& m) { m.set_i32s(base + "token_type", short_list); }), Code::kBadInput);
  EXPECT_EQ(with([&](M& m) { m.set_u32(base + "bos_token_id", 1u << 31); }), Code::kOk);
  EXPECT_EQ(create_code(Metadata()), Code::kBadInput);

  Metadata scores = tiny("spm");
  const std::vector<float> none(tokenizer_goldens()["vocabularies"]["spm"]["tokens"].size(), NAN);
  scores.set_f32s(base + "scores", none);
  EXPECT_EQ(create_code(scores), Code::kBadInput);
}

}  // namespace
}  // namespace enxuto
