// Reads and checks the token list. Which tokens end a generation, and which are control tokens
// whatever the file calls them, follows llama.cpp: partly by ids in the file, partly by known
// texts.
#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

namespace enxuto {
namespace {

constexpr size_t kMaxTokens = size_t{1} << 28;
constexpr std::string_view kConvertAgain = "convert or download the model again";

Status bad(std::string what) {
  return Status::bad_input(std::move(what), std::string(kConvertAgain));
}

constexpr std::string_view kEndTexts[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|return|>",
                                          "<|call|>",
                                          "<|flush|>",
                                          "<|calls|>",
                                          "<end_of_turn>",
                                          "</s>",
                                          "<|endoftext|>",
                                          "<|eom_id|>",
                                          "<EOT>",
                                          "_<EOT>",
                                          "[EOT]",
                                          "[EOS]",
                                          "<|end_of_text|>",
                                          "<eos>",
                                          "<turn|>",
                                          "<end_of_utterance>",
                                          "<|tool_response>",
                                          "[e~[",
                                          "<｜end▁of▁sentence｜>"};

// A role that a token can have: the key that names it, and the texts that tell it otherwise.
struct Role {
  std::string_view key, old_key;
  bool ends;
  std::vector<std::string_view> texts;
};

const std::vector<Role>& roles() {
  static const std::vector<Role> all = {
      {"eot", "", true, {}},
      {"eom", "", true, {}},
      {"fim_pre",
       "prefix",
       false,
       {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
        "<|code_prefix|>", "<|prefix|>"}},
      {"fim_suf",
       "suffix",
       false,
       {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
        "<|code_suffix|>", "<|suffix|>"}},
      {"fim_mid",
       "middle",
       false,
       {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
        "<|code_middle|>", "<|middle|>"}},
      {"fim_pad", "", true, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
      {"fim_rep",
       "",
       true,
       {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
      {"fim_sep", "", true, {"<|file_sep|>"}},
  };
  return all;
}

std::string id_key(std::string_view role) {
  return "tokenizer.ggml." + std::string(role) + "_token_id";
}

}  // namespace

uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15;
  uint64_t hash = bytes.size() * kFactor, word;
  const auto mix = [&] {
    hash = (hash ^ word) * kFactor;
    hash ^= hash >> 29;
  };
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::memcpy(&word, bytes.data() + i, 8);
    mix();
  }
  word = 0;
  std::memcpy(&word, bytes.data() + i, bytes.size() - i);
  mix();
  return hash ^ hash >> 31;
}

size_t slots_for(size_t count) {
  size_t slots = 16;
  while (slots / 4 * 3 < count) slots *= 2;
  return slots;
}

Result<StringArray> StringArray::open(const Metadata& metadata, std::string_view key) {
  const MetaValue* value = metadata.find(key);
  if (!value) return bad("the file has no " + std::string(key));
  if (value->type != ValueType::Array || value->element != ValueType::String)
    return bad(std::string(key) + " is not a list of strings");
  if (value->payload.size() > UINT32_MAX || value->count > value->payload.size() / 8)
    return bad(std::string(key) + " is too large");
  StringArray array;
  array.payload_ = value->payload;
  array.starts_.reserve(value->count);
  uint64_t at = 0, length;
  for (uint64_t i = 0; i < value->count; i++) {
    if (array.payload_.size() - at < 8) return bad(std::string(key) + " is cut off");
    std::memcpy(&length, array.payload_.data() + at, 8);
    at += 8;
    if (length > array.payload_.size() - at) return bad(std::string(key) + " is cut off");
    array.starts_.push_back(static_cast<uint32_t>(at));
    at += length;
  }
  if (at != array.payload_.size()) return bad(std::string(key) + " has bytes after its end");
  return array;
}

Result<Vocabulary> Vocabulary::create(const Metadata& metadata,
                                      const VocabularyDefaults& defaults) {
  Vocabulary vocabulary;
  ASSIGN_OR_RETURN(vocabulary.texts_, StringArray::open(metadata, "tokenizer.ggml.tokens"));
  if (vocabulary.size() == 0) return bad("the vocabulary is empty");
  if (vocabulary.size() > kMaxTokens) return bad("the vocabulary is too large");
  TRY(vocabulary.read_kinds(metadata));
  TRY(vocabulary.read_scores(metadata));
  TRY(vocabulary.index_texts());

  const auto id = [&](std::string_view role, Token otherwise) {
    const auto given = metadata.unsigned_at(id_key(role));
    if (given && *given < vocabulary.size()) return static_cast<Token>(*given);
    return vocabulary.contains(otherwise) ? otherwise : Token{-1};
  };
  vocabulary.bos = id("bos", defaults.bos);
  vocabulary.eos = id("eos", defaults.eos);
  vocabulary.unknown = id("unknown", defaults.unknown);
  const auto flag = [&](std::string_view name, bool otherwise) {
    return metadata.bool_at("tokenizer.ggml." + std::string(name)).value_or(otherwise);
  };
  vocabulary.add_bos = flag("add_bos_token", defaults.add_bos);
  vocabulary.add_eos = flag("add_eos_token", false);
  if (vocabulary.add_bos && vocabulary.bos < 0) return bad("the file adds a BOS token it has not");
  if (vocabulary.add_eos && vocabulary.eos < 0) return bad("the file adds an EOS token it has not");
  vocabulary.find_special_tokens(metadata);
  return vocabulary;
}

Status Vocabulary::read_kinds(const Metadata& metadata) {
  kinds_.assign(size(), TokenKind::Normal);
  const MetaValue* value = metadata.find("tokenizer.ggml.token_type");
  if (!value) return {};
  if (value->type != ValueType::Array || value->element != ValueType::I32 ||
      value->count < size() || value->payload.size() / 4 < size())
    return bad("tokenizer.ggml.token_type is not a number for every token");
  for (size_t i = 0; i < size(); i++) {
    int32_t kind;
    std::memcpy(&kind, value->payload.data() + i * 4, 4);
    kinds_[i] = kind >= 0 && kind <= 6 ? static_cast<TokenKind>(kind) : TokenKind::Undefined;
  }
  return {};
}

Status Vocabulary::read_scores(const Metadata& metadata) {
  const MetaValue* value = metadata.find("tokenizer.ggml.scores");
  if (!value) return {};
  const bool is_float = value->element == ValueType::F32;
  if (value->type != ValueType::Array || (!is_float && value->element != ValueType::I32) ||
      value->count < size() || value->payload.size() / 4 < size())
    return bad("tokenizer.ggml.scores is not a number for every token");
  scores_.resize(size());
  for (size_t i = 0; i < size(); i++) {
    int32_t whole;
    std::memcpy(&whole, value->payload.data() + i * 4, 4);
    std::memcpy(&scores_[i], value->payload.data() + i * 4, 4);
    if (!is_float) scores_[i] = static_cast<float>(whole);
    if (std::isnan(scores_[i])) return bad("a token's score is not a number");
  }
  return {};
}

Status Vocabulary::index_texts() {
  slots_.assign(slots_for(size()), Slot{0, 0});
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < size(); i++) {
    const std::string_view text = texts_[i];
    longest_text_ = std::max(longest_text_, text.size());
    if (text.empty()) continue;  // never found
    const uint64_t hash = hash_bytes(text);
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t slot = hash & mask;
    for (; slots_[slot].id_plus_1 != 0; slot = (slot + 1) & mask)
      if (slots_[slot].tag == tag && texts_[slots_[slot].id_plus_1 - 1] == text)
        return bad("tokens " + std::to_string(slots_[slot].id_plus_1 - 1) + " and " +
                   std::to_string(i) + " have the same text");
    slots_[slot] = {static_cast<uint32_t>(i + 1), tag};
  }
  return {};
}

Token Vocabulary::find(std::string_view text) const {
  if (text.empty() || text.size() > longest_text_) return -1;
  const uint64_t hash = hash_bytes(text);
  const auto tag = static_cast<uint32_t>(hash >> 32);
  const size_t mask = slots_.size() - 1;
  for (size_t slot = hash & mask; slots_[slot].id_plus_1 != 0; slot = (slot + 1) & mask) {
    const Slot& found = slots_[slot];
    if (found.tag == tag && texts_[found.id_plus_1 - 1] == text)
      return static_cast<Token>(found.id_plus_1 - 1);
  }
  return -1;
}

Vocabulary::MergeRule Vocabulary::merge_rule(std::string_view text) const {
  const size_t space = text.find(' ', 1);
  if (space == std::string_view::npos) return {};
  std::string joined(text.substr(0, space));
  joined += text.substr(space + 1);
  return {find(text.substr(0, space)), find(text.substr(space + 1)), find(joined)};
}

std::string Vocabulary::text(Token token) const {
  const std::string_view text = texts_[token];
  return text.empty() ? "[EMPTY_" + std::to_string(token) + "]" : std::string(text);
}

void Vocabulary::find_special_tokens(const Metadata& metadata) {
  for (const Role& role : roles()) {
    Token token = -1;
    for (const std::string_view key : {role.key, role.old_key})
      if (const auto id = metadata.unsigned_at(id_key(key)); id && *id < size())
        token = static_cast<Token>(*id);
    for (size_t i = 0; token < 0 && i < role.texts.size(); i++)
      if (token = find(role.texts[i]); token >= 0) kinds_[token] = TokenKind::Control;
    if (role.ends && token >= 0) add_end(token);
  }
  for (const std::string_view text : kEndTexts)
    if (const Token token = find(text); token >= 0) {
      add_end(token);
      kinds_[token] = TokenKind::Control;
    }
  if (eos >= 0) add_end(eos);
  settle_exceptions();
}

// Families in which a text that ends others does not end.
void Vocabulary::settle_exceptions() {
  const auto ends = [&](std::string_view text) { return ends_generation(find(text)); };
  const auto release = [&](std::string_view text, TokenKind kind) {
    const Token token = find(text);
    if (!ends_generation(token)) return;
    ends_.erase(std::find(ends_.begin(), ends_.end(), token));
    kinds_[token] = kind;
  };
  for (const std::string_view text : {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
    if (const Token token = find(text); token >= 0) kinds_[token] = TokenKind::UserDefined;
  const bool calls = ends("<|call|>") || ends("<|calls|>");
  if (calls && (ends("<|return|>") || ends("<|flush|>")))
    release("<|end|>", TokenKind::UserDefined);
  if (ends("<|tool_response>") || ends("<|plamo:eos|>")) release("</s>", TokenKind::Normal);
}

void Vocabulary::add_end(Token token) {
  const auto place = std::lower_bound(ends_.begin(), ends_.end(), token);
  if (place == ends_.end() || *place != token) ends_.insert(place, token);
}

bool Vocabulary::ends_generation(Token token) const {
  return std::binary_search(ends_.begin(), ends_.end(), token);
}

uint64_t Vocabulary::table_bytes() const {
  return texts_.table_bytes() + kinds_.capacity() + scores_.capacity() * sizeof(float) +
         slots_.capacity() * sizeof(Slot);
}

}  // namespace enxuto
