#include "tokenizer/smaller_vocabulary.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "tokenizer/vocabulary.h"

namespace enxuto {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";
constexpr uint64_t kParts = 16;  // of the text
constexpr uint64_t kRanks = 8;   // of the vocabulary

bool names_a_token(std::string_view key) {
  return key.starts_with(kPrefix) && key.ends_with("_token_id");
}

bool names_tokens(std::string_view key) {
  return key.starts_with(kPrefix) &&
         (key.ends_with("_token_ids") || key == "tokenizer.ggml.suppress_tokens");
}

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// A number for a token's writing system: the greatest byte of its text, which is the lead byte of
// its last character in Unicode's order; in ASCII 2 for a word after a space, 1 for letters, else
// 0.
uint8_t writing_of(std::string_view text) {
  uint8_t greatest = 0;
  for (const char c : text) greatest = std::max(greatest, static_cast<uint8_t>(c));
  if (greatest >= 0x80) return greatest;
  const bool spaced = text.starts_with(' ');
  if (spaced) text.remove_prefix(1);
  if (!std::all_of(text.begin(), text.end(), is_ascii_letter)) return 0;
  return spaced ? 2 : 1;
}

// Tokens that are about as frequent as each other.
struct TokenClass {
  uint8_t writing;
  uint64_t rank;
  auto operator<=>(const TokenClass&) const = default;
};

// What is known of each token.
class Census {
 public:
  Census(const Tokenizer& tokenizer, std::span<const Token> text)
      : tokenizer_(tokenizer),
        vocabulary_(tokenizer.vocabulary()),
        text_tokens_(text.size()),
        counts_(vocabulary_.size()),
        first_parts_(vocabulary_.size()),
        is_common_(vocabulary_.size()) {
    for (uint64_t i = 0; i < text.size(); i++) {
      const Token token = text[i];
      const auto part = static_cast<uint8_t>(i * kParts / text.size());
      if (counts_[token]++ == 0) first_parts_[token] = part;
      if (first_parts_[token] != part) is_common_[token] = true;
    }
    merges_.reserve(vocabulary_.size());
    for (size_t i = 0; i < vocabulary_.size(); i++)
      merges_.push_back(tokenizer.last_merge(static_cast<Token>(i)));
  }

  const Vocabulary& vocabulary() const { return vocabulary_; }
  size_t size() const { return counts_.size(); }
  uint64_t text_tokens() const { return text_tokens_; }
  uint64_t count(Token token) const { return counts_[token]; }
  bool is_common(Token token) const { return is_common_[token]; }  // in two parts of the text
  const LastMerge& last_merge(Token token) const { return merges_[token]; }
  bool is_plain(Token token) const {
    return vocabulary_.kind(token) == TokenKind::Normal && merges_[token].reached;
  }

  TokenClass class_of(Token token) const {
    return {writing_of(tokenizer_.piece(token)), static_cast<uint64_t>(token) * kRanks / size()};
  }

 private:
  const Tokenizer& tokenizer_;
  const Vocabulary& vocabulary_;
  uint64_t text_tokens_;
  std::vector<uint64_t> counts_;
  std::vector<uint8_t> first_parts_;
  std::vector<bool> is_common_;
  std::vector<LastMerge> merges_;
};

// Tokens that are kept, with all that they are merged from.
class ClosedSet {
 public:
  explicit ClosedSet(const Census& census) : census_(census), kept_(census.size()) {}

  bool has(Token token) const { return kept_[token]; }
  uint64_t count() const { return count_; }

  // What keeping the token adds to the set.
  std::vector<Token> missing(Token token) const {
    std::vector<Token> found;
    if (!kept_[token]) found.push_back(token);
    for (size_t i = 0; i < found.size(); i++) {
      const LastMerge& merge = census_.last_merge(found[i]);
      for (const Token part : {merge.left, merge.right})
        if (part >= 0 && !kept_[part] && std::find(found.begin(), found.end(), part) == found.end())
          found.push_back(part);
    }
    return found;
  }

  void add(std::span<const Token> tokens) {
    for (const Token token : tokens) kept_[token] = true;
    count_ += tokens.size();
  }
  void add(Token token) { add(missing(token)); }

  // How many tokens of the set each token's text is spelled with: what a merge that is gone leaves
  // of its two sides, bytes for a character that is no token.
  std::vector<uint64_t> spelling_lengths() const {
    const Vocabulary& vocabulary = census_.vocabulary();
    std::vector<size_t> bytes(census_.size());
    for (size_t i = 0; i < bytes.size(); i++)
      bytes[i] = vocabulary.text(static_cast<Token>(i)).size();
    std::vector<Token> shortest_first(census_.size());
    std::iota(shortest_first.begin(), shortest_first.end(), 0);
    std::sort(shortest_first.begin(), shortest_first.end(),
              [&](Token a, Token b) { return bytes[a] < bytes[b]; });
    std::vector<uint64_t> lengths(census_.size(), 1);
    for (const Token token : shortest_first) {
      if (kept_[token]) continue;
      uint64_t length = 0, rest = bytes[token];
      const LastMerge& merge = census_.last_merge(token);
      for (const Token part : {merge.left, merge.right}) {
        if (part < 0) continue;
        length += lengths[part];
        rest -= bytes[part];
      }
      lengths[token] = length + rest;
    }
    return lengths;
  }

  std::vector<Token> tokens() const {
    std::vector<Token> tokens;
    tokens.reserve(count_);
    for (size_t i = 0; i < kept_.size(); i++)
      if (kept_[i]) tokens.push_back(static_cast<Token>(i));
    return tokens;
  }

 private:
  const Census& census_;
  std::vector<bool> kept_;
  uint64_t count_ = 0;
};

ClosedSet required_tokens(const Metadata& metadata, const Tokenizer& tokenizer,
                          const Census& census) {
  ClosedSet set(census);
  const Vocabulary& vocabulary = census.vocabulary();
  for (size_t i = 0; i < census.size(); i++) {
    const auto token = static_cast<Token>(i);
    const TokenKind kind = vocabulary.kind(token);
    if (vocabulary.is_special(token) || kind == TokenKind::UserDefined || kind == TokenKind::Byte ||
        vocabulary.ends_generation(token))
      set.add(token);
  }
  for (const Token token : tokenizer.base_tokens()) set.add(token);
  for (const Token token : {vocabulary.bos, vocabulary.eos, vocabulary.unknown})
    if (token >= 0) set.add(token);
  for (const auto& [key, value] : metadata.entries())
    if (const auto id = value.as_unsigned(); names_a_token(key) && id && *id < census.size())
      set.add(static_cast<Token>(*id));
  return set;
}

// Tokens that the text has, the most frequent first.
std::vector<Token> met_tokens(const Census& census) {
  std::vector<Token> met;
  for (size_t i = 0; i < census.size(); i++)
    if (census.count(static_cast<Token>(i)) > 0) met.push_back(static_cast<Token>(i));
  std::stable_sort(met.begin(), met.end(),
                   [&](Token a, Token b) { return census.count(a) > census.count(b); });
  return met;
}

struct Unmet {
  Token token;
  double growth;  // expected where it does not stay
};

// What the parts of the text would have missed of each other, by class, in tokens.
std::map<TokenClass, double> missed_costs(const Census& census, ClosedSet set,
                                          const std::vector<Token>& met) {
  for (const Token token : met)
    if (census.is_common(token)) set.add(token);
  const std::vector<uint64_t> lengths = set.spelling_lengths();
  std::map<TokenClass, double> costs;
  for (const Token token : met)
    costs[census.class_of(token)] +=
        static_cast<double>(census.count(token)) * static_cast<double>(lengths[token] - 1);
  return costs;
}

// Plain tokens that a choice of all that was met lacks, those that are likely to be missed first.
std::vector<Unmet> unmet_tokens(const Census& census, const ClosedSet& required,
                                const std::vector<Token>& met) {
  std::map<TokenClass, double> costs = missed_costs(census, required, met);
  ClosedSet all = required;
  for (const Token token : met) all.add(token);
  std::map<TokenClass, std::vector<Token>> classes;
  std::map<uint8_t, double> of_writing;  // how many tokens
  for (size_t i = 0; i < census.size(); i++) {
    const auto token = static_cast<Token>(i);
    if (all.has(token) || !census.is_plain(token)) continue;
    const TokenClass its = census.class_of(token);
    classes[its].push_back(token);
    of_writing[its.writing]++;
  }

  std::vector<Unmet> unmet;
  const auto text_tokens = static_cast<double>(std::max<uint64_t>(census.text_tokens(), 1));
  for (const auto& [its, tokens] : classes) {
    const double by_chance = 1 / of_writing[its.writing];
    const double cost = costs[its] / static_cast<double>(tokens.size()) + by_chance;
    for (const Token token : tokens) unmet.push_back({token, cost / text_tokens});
  }
  std::sort(unmet.begin(), unmet.end(), [](const Unmet& a, const Unmet& b) {
    return a.growth > b.growth || (a.growth == b.growth && a.token < b.token);
  });
  return unmet;
}

// Of the text's tokens that are not kept: they were counted, and need no estimate.
double growth_of_text(const Census& census, const ClosedSet& set, const std::vector<Token>& met) {
  const std::vector<uint64_t> lengths = set.spelling_lengths();
  double added = 0;
  for (const Token token : met)
    added += static_cast<double>(census.count(token)) * static_cast<double>(lengths[token] - 1);
  return added / static_cast<double>(std::max<uint64_t>(census.text_tokens(), 1));
}

Status check_text(std::span<const Token> text, const Vocabulary& vocabulary) {
  for (const Token token : text)
    if (!vocabulary.contains(token))
      return Status::bad_input("the text has token " + std::to_string(token) + ", the vocabulary " +
                                   std::to_string(vocabulary.size()) + " tokens",
                               "encode the text with the model's own tokenizer");
  return {};
}

Status check_kept(std::span<const Token> kept, const Vocabulary& vocabulary) {
  const auto bad = [](std::string what) {
    return Status::bad_input(std::move(what), "choose the tokens from this model's vocabulary");
  };
  if (kept.empty()) return bad("no token is kept");
  for (size_t i = 0; i < kept.size(); i++) {
    if (!vocabulary.contains(kept[i]))
      return bad("token " + std::to_string(kept[i]) + " is not one of the vocabulary's " +
                 std::to_string(vocabulary.size()));
    if (i > 0 && kept[i] <= kept[i - 1])
      return bad("the kept tokens are not in ascending order at token " + std::to_string(kept[i]));
  }
  return {};
}

// The tokenizer's lists and keys, rewritten one by one.
class Rewriter {
 public:
  Rewriter(const Metadata& metadata, const Vocabulary& vocabulary, std::span<const Token> kept)
      : old_(metadata),
        vocabulary_(vocabulary),
        kept_(kept),
        new_ids_(vocabulary.size(), Token{-1}),
        smaller_(metadata) {
    for (size_t i = 0; i < kept.size(); i++) new_ids_[kept[i]] = static_cast<Token>(i);
  }

  Result<Metadata> rewrite() {
    rewrite_lists();
    TRY(rewrite_merges());
    for (const auto& [key, value] : old_.entries()) {
      if (names_a_token(key)) rewrite_id(key, value);
      if (names_tokens(key)) rewrite_ids(key, value);
    }
    TRY(name_defaults());
    const std::string size =
        std::string(old_.string_at("general.architecture").value_or("")) + ".vocab_size";
    if (old_.find(size)) smaller_.set_u32(size, static_cast<uint32_t>(kept_.size()));
    smaller_.erase("tokenizer.huggingface.json");  // tells of the old vocabulary
    return std::move(smaller_);
  }

 private:
  void rewrite_lists() {
    std::vector<std::string> texts;  // with a name for those that have none, which tells their id
    std::vector<std::string_view> views;
    std::vector<float> scores;
    std::vector<int32_t> kinds(kept_.size());
    texts.reserve(kept_.size());
    const MetaValue* old_kinds = old_.find("tokenizer.ggml.token_type");
    for (size_t i = 0; i < kept_.size(); i++) {
      const auto at = static_cast<size_t>(kept_[i]);
      views.push_back(texts.emplace_back(vocabulary_.text(kept_[i])));
      scores.push_back(vocabulary_.score(kept_[i]));
      if (old_kinds) std::memcpy(&kinds[i], old_kinds->payload.data() + at * 4, 4);
    }
    smaller_.set_strings("tokenizer.ggml.tokens", views);
    if (old_kinds) smaller_.set_i32s("tokenizer.ggml.token_type", kinds);
    if (old_.find("tokenizer.ggml.scores")) smaller_.set_f32s("tokenizer.ggml.scores", scores);
  }

  Status rewrite_merges() {
    if (!old_.find("tokenizer.ggml.merges")) return {};
    ASSIGN_OR_RETURN(const StringArray merges, StringArray::open(old_, "tokenizer.ggml.merges"));
    std::vector<std::string_view> left;
    for (size_t i = 0; i < merges.size(); i++) {
      const Vocabulary::MergeRule rule = vocabulary_.merge_rule(merges[i]);
      if (new_id(rule.left) >= 0 && new_id(rule.right) >= 0 && new_id(rule.result) >= 0)
        left.push_back(merges[i]);
    }
    smaller_.set_strings("tokenizer.ggml.merges", left);
    return {};
  }

  void rewrite_id(const std::string& key, const MetaValue& value) {
    const auto id = value.as_unsigned();
    if (!id) return;
    const Token token = *id < new_ids_.size() ? new_ids_[*id] : Token{-1};
    if (token < 0) return smaller_.erase(key);
    smaller_.set_u32(key, static_cast<uint32_t>(token));
  }

  void rewrite_ids(const std::string& key, const MetaValue& value) {
    const auto old_ids = value.as_numbers();
    if (!old_ids) return;
    std::vector<int32_t> ids;
    for (const double id : *old_ids)
      if (id >= 0 && id < static_cast<double>(new_ids_.size()))
        if (const Token token = new_ids_[static_cast<size_t>(id)]; token >= 0) ids.push_back(token);
    smaller_.set_i32s(key, ids);
  }

  // Where the file does not name them, a family takes certain ids, which are others now.
  Status name_defaults() {
    const std::pair<std::string_view, Token> roles[] = {
        {"bos", vocabulary_.bos}, {"eos", vocabulary_.eos}, {"unknown", vocabulary_.unknown}};
    for (const auto& [role, token] : roles) {
      if (token < 0) continue;
      if (new_ids_[token] < 0)
        return Status::bad_input("the " + std::string(role) + " token (" + std::to_string(token) +
                                     ") is not among the kept tokens",
                                 "keep it: a tokenizer always has one");
      smaller_.set_u32(std::string(kPrefix) + std::string(role) + "_token_id",
                       static_cast<uint32_t>(new_ids_[token]));
    }
    return {};
  }

  Token new_id(Token token) const { return token >= 0 ? new_ids_[token] : token; }

  const Metadata& old_;
  const Vocabulary& vocabulary_;
  std::span<const Token> kept_;
  std::vector<Token> new_ids_;  // -1: gone
  Metadata smaller_;
};

}  // namespace

Result<TokenChoice> choose_tokens(const Metadata& metadata, const Tokenizer& tokenizer,
                                  std::span<const Token> text, uint64_t most) {
  TRY(check_text(text, tokenizer.vocabulary()));
  if (text.empty() && most == 0)
    return Status::bad_input("the text that tokens are chosen by is empty",
                             "give a text, or the number of tokens to keep");
  const Census census(tokenizer, text);
  ClosedSet set = required_tokens(metadata, tokenizer, census);
  const std::vector<Token> met = met_tokens(census);
  TokenChoice choice{{}, set.count(), met.size(), 0};
  if (most > 0 && set.count() > most)
    return Status::does_not_fit("the tokenizer needs " + std::to_string(set.count()) +
                                    " tokens, more than " + std::to_string(most),
                                "ask for at least " + std::to_string(set.count()) + " tokens");

  const std::vector<Unmet> unmet = unmet_tokens(census, set, met);
  const auto add = [&](Token token) {
    const std::vector<Token> missing = set.missing(token);
    if (most == 0 || missing.size() <= most - set.count()) set.add(missing);
  };
  for (const Token token : met) add(token);
  double growth = 0;
  for (const Unmet& one : unmet) growth += one.growth;
  for (const Unmet& one : unmet) {
    if (most == 0 && growth <= kAcceptedGrowth) break;
    add(one.token);
    growth -= one.growth;
  }
  choice.expected_growth = growth_of_text(census, set, met);
  for (const Unmet& one : unmet)
    if (!set.has(one.token)) choice.expected_growth += one.growth;
  choice.kept = set.tokens();
  return choice;
}

Result<Metadata> keep_tokens(const Metadata& metadata, std::span<const Token> kept) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(metadata));
  TRY(check_kept(kept, tokenizer->vocabulary()));
  return Rewriter(metadata, tokenizer->vocabulary(), kept).rewrite();
}

}  // namespace enxuto
