// Cut vocabularies give the same ids where all that a text needs is left, and spell the rest.
#include "tokenizer/smaller_vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <random>

#include "tokenizer/tiny_vocabulary.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {
namespace {

using nlohmann::json;

// The texts that tokenizers are compared with llama.cpp on.
const std::vector<std::string>& hard_texts() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> decoded;
    for (const std::string hex : tokenizer_goldens()["texts_hex"]) {
      std::string& text = decoded.emplace_back();
      for (size_t i = 0; i < hex.size(); i += 2)
        text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    }
    return decoded;
  }();
  return texts;
}

struct Whole {
  explicit Whole(const std::string& vocabulary, const std::string& pre = "",
                 const json& options = json::object())
      : metadata(tiny_metadata(tokenizer_goldens()["vocabularies"][vocabulary], pre, options)),
        tokenizer(Tokenizer::create(metadata).value()) {}
  size_t size() const { return tokenizer->vocabulary_size(); }
  Metadata metadata;
  std::unique_ptr<Tokenizer> tokenizer;
};

// A text of `count` tokens out of at most `different` ones.
std::vector<Token> random_text(std::mt19937& random, size_t vocabulary, size_t count,
                               size_t different) {
  std::vector<Token> some(different), text(count);
  for (Token& token : some) token = static_cast<Token>(random() % vocabulary);
  for (Token& token : text) token = some[random() % different];
  return text;
}

struct Compared {
  size_t same = 0, spelled = 0;  // texts
};

// Every hard text: the same tokens where all are kept, the same bytes always.
void compare(const Whole& whole, const std::vector<Token>& kept, Compared& compared) {
  const auto metadata = keep_tokens(whole.metadata, kept);
  ASSERT_TRUE(metadata.ok()) << metadata.status().what();
  const auto tokenizer = Tokenizer::create(*metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().what();
  ASSERT_EQ((*tokenizer)->vocabulary_size(), kept.size());
  for (const std::string& text : hard_texts())
    for (const bool special : {false, true}) {
      const auto expected = whole.tokenizer->encode(text, special, special);
      auto tokens = (*tokenizer)->encode(text, special, special);
      EXPECT_EQ((*tokenizer)->decode(tokens, true), whole.tokenizer->decode(expected, true));
      for (Token& token : tokens) token = kept[token];
      const bool all_kept = std::all_of(expected.begin(), expected.end(), [&](Token token) {
        return std::binary_search(kept.begin(), kept.end(), token);
      });
      if (all_kept) {
        EXPECT_EQ(tokens, expected) << text;
      }
      (all_kept ? compared.same : compared.spelled)++;
    }
}

TEST(SmallerVocabulary, EncodesAlikeWhereAllIsKeptAndSpellsTheRest) {
  std::mt19937 random(7);
  for (const json& example : tokenizer_goldens()["cases"]) {
    const Whole whole(example["vocabulary"], example["pre"], example["options"]);
    Compared compared;
    for (int trial = 0; trial < 12; trial++) {
      const auto text = random_text(random, whole.size(), 400, 1 + random() % 300);
      const auto least = choose_tokens(whole.metadata, *whole.tokenizer, text, whole.size());
      ASSERT_TRUE(least.ok());
      const uint64_t most = least->required + random() % (whole.size() - least->required + 1);
      const auto choice = choose_tokens(whole.metadata, *whole.tokenizer, text, most);
      ASSERT_TRUE(choice.ok()) << choice.status().what();
      EXPECT_LE(choice->kept.size(), most);
      compare(whole, choice->kept, compared);
    }
    EXPECT_GT(compared.same, 100u) << example["pre"];
    EXPECT_GT(compared.spelled, 100u) << example["pre"];
  }
}

TEST(SmallerVocabulary, KeepsWhatTheTextHas) {
  for (const std::string name : {"bpe", "spm"}) {
    const Whole whole(name, name == "bpe" ? "qwen2" : "");
    std::vector<Token> text;
    for (const std::string& hard : hard_texts())
      for (const bool special : {false, true})
        for (const Token token : whole.tokenizer->encode(hard, special, special))
          text.push_back(token);
    const auto choice = choose_tokens(whole.metadata, *whole.tokenizer, text, 0);
    ASSERT_TRUE(choice.ok());
    for (const Token token : text)
      EXPECT_TRUE(std::binary_search(choice->kept.begin(), choice->kept.end(), token)) << token;
    EXPECT_LE(choice->expected_growth, kAcceptedGrowth);
    std::sort(text.begin(), text.end());
    EXPECT_EQ(choice->met, std::unique(text.begin(), text.end()) - text.begin());
    Compared compared;
    compare(whole, choice->kept, compared);
    EXPECT_EQ(compared.spelled, 0u);
  }
}

TEST(SmallerVocabulary, FillsItsRoomWithWhatIsLikelyToBeMissed) {
  const Whole whole("bpe", "qwen2");
  std::string text;  // each word in one part of it
  for (const std::string word :
       {"The", "lean", "model", "runs", "where", "the", "big", "one", "does", "not", "layers",
        "heads", "tokens", "context", "sum", "return"})
    for (int i = 0; i < 20; i++) text += " " + word;
  const auto tokens = whole.tokenizer->encode(text, false, false);
  const auto choose = [&](uint64_t most) {
    return choose_tokens(whole.metadata, *whole.tokenizer, tokens, most).value();
  };
  double growth = INFINITY;
  for (uint64_t most = choose(whole.size()).required; most <= whole.size(); most += 20) {
    EXPECT_LE(choose(most).expected_growth, growth);
    growth = choose(most).expected_growth;
  }

  uint64_t enough = whole.size();  // for all that was met
  const auto has_all = [&](const TokenChoice& choice) {
    return std::all_of(tokens.begin(), tokens.end(), [&](Token token) {
      return std::binary_search(choice.kept.begin(), choice.kept.end(), token);
    });
  };
  while (has_all(choose(enough - 1))) enough--;
  const std::vector<Token> met = choose(enough).kept, more = choose(enough + 20).kept;
  std::vector<Token> added;
  std::set_difference(more.begin(), more.end(), met.begin(), met.end(), std::back_inserter(added));
  EXPECT_EQ(added.size(), 20u);
  for (const Token token : added)  // of the same writing system
    for (const char c : whole.tokenizer->piece(token)) EXPECT_GE(c, 0) << token;
  const auto saved = [&](uint64_t from) {
    return choose(from).expected_growth - choose(from + 20).expected_growth;
  };
  EXPECT_GT(saved(enough), saved(enough + 20));
}

TEST(SmallerVocabulary, RewritesWhatNamesATokenAndKeepsTheOtherKeys) {
  Whole whole("bpe", "smollm");
  Metadata& m = whole.metadata;
  const std::string base = "tokenizer.ggml.";
  const auto find = [](const Tokenizer& tokenizer, std::string_view text) {
    return static_cast<uint64_t>(tokenizer.vocabulary().find(text));
  };
  const uint64_t common = find(*whole.tokenizer, "\xC4\xA0the");  // " the"
  m.set_string("general.architecture", "llama");
  m.set_u32("llama.vocab_size", static_cast<uint32_t>(whole.size()));
  m.set_u32("llama.block_count", 3);
  m.set_u32(base + "padding_token_id", static_cast<uint32_t>(common));
  m.set_u32(base + "mask_token_id", 1u << 30);
  m.set_string("tokenizer.huggingface.json", "{}");
  const auto size = static_cast<int32_t>(whole.size());
  const int32_t suppressed[] = {whole.tokenizer->eos(), size - 9, 1 << 30, -1};
  m.set_i32s(base + "suppress_tokens", suppressed);

  const auto choice = choose_tokens(m, *whole.tokenizer, {}, 300);
  ASSERT_TRUE(choice.ok()) << choice.status().what();
  const auto smaller = keep_tokens(m, choice->kept);
  ASSERT_TRUE(smaller.ok());
  const auto tokenizer = Tokenizer::create(*smaller);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(smaller->unsigned_at("llama.vocab_size"), choice->kept.size());
  EXPECT_EQ(smaller->unsigned_at("llama.block_count"), 3u);
  EXPECT_EQ(smaller->unsigned_at(base + "padding_token_id"), find(**tokenizer, "\xC4\xA0the"));
  EXPECT_EQ(smaller->unsigned_at(base + "eos_token_id"), find(**tokenizer, "<|im_end|>"));
  EXPECT_EQ((*tokenizer)->control_texts(), whole.tokenizer->control_texts());
  EXPECT_EQ(smaller->find(base + "mask_token_id"), nullptr);
  EXPECT_EQ(smaller->find("tokenizer.huggingface.json"), nullptr);
  EXPECT_EQ(smaller->string_at(base + "pre"), "smollm");
  const auto ids = smaller->find(base + "suppress_tokens")->as_numbers();
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->front(), (*tokenizer)->eos());
  for (const double id : *ids) EXPECT_LT(id, choice->kept.size());
  EXPECT_EQ(smaller->find(base + "token_type")->count, choice->kept.size());
}

TEST(SmallerVocabulary, NamesTheTokensThatAFamilyAssumes) {
  Whole whole("bpe", "qwen2");
  whole.metadata.erase("tokenizer.ggml.bos_token_id");
  whole.metadata.erase("tokenizer.ggml.eos_token_id");
  whole.tokenizer = Tokenizer::create(whole.metadata).value();
  const auto choice = choose_tokens(whole.metadata, *whole.tokenizer, {}, 280);
  ASSERT_TRUE(choice.ok());
  const auto smaller = keep_tokens(whole.metadata, choice->kept);
  ASSERT_TRUE(smaller.ok());
  const auto tokenizer = Tokenizer::create(*smaller);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(choice->kept[(*tokenizer)->eos()], whole.tokenizer->eos());
  EXPECT_EQ(choice->kept[(*tokenizer)->bos()], whole.tokenizer->bos());
}

TEST(SmallerVocabulary, RefusesWhatIsNoChoice) {
  const Whole whole("bpe", "qwen2");
  const auto kept_code = [&](std::vector<Token> kept) {
    return keep_tokens(whole.metadata, kept).status().code();
  };
  const auto size = static_cast<Token>(whole.size());
  EXPECT_EQ(kept_code({}), Code::kBadInput);
  EXPECT_EQ(kept_code({-1, 5}), Code::kBadInput);
  EXPECT_EQ(kept_code({5, size}), Code::kBadInput);
  EXPECT_EQ(kept_code({5, 5}), Code::kBadInput);
  EXPECT_EQ(kept_code({6, 5}), Code::kBadInput);
  EXPECT_EQ(kept_code({5, 6}), Code::kBadInput);  // neither BOS nor EOS
  Metadata unknown = whole.metadata;
  unknown.set_string("tokenizer.ggml.model", "t5");
  EXPECT_EQ(keep_tokens(unknown, std::vector<Token>{1}).status().code(), Code::kBadInput);

  const auto choose_code = [&](std::vector<Token> text, uint64_t most) {
    return choose_tokens(whole.metadata, *whole.tokenizer, text, most).status().code();
  };
  EXPECT_EQ(choose_code({}, 0), Code::kBadInput);
  EXPECT_EQ(choose_code({}, whole.size()), Code::kOk);
  EXPECT_EQ(choose_code({size}, 0), Code::kBadInput);
  EXPECT_EQ(choose_code({-1}, 0), Code::kBadInput);
  EXPECT_EQ(choose_code({5}, 1), Code::kDoesNotFit);
}

}  // namespace
}  // namespace enxuto
