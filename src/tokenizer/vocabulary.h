// The tokens of a file: their texts where they lie, their types, who is special, and a hash from
// text to id. Everything is checked once, here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

enum class TokenKind : uint8_t { Undefined, Normal, Unknown, Control, UserDefined, Unused, Byte };

// The elements of an array of strings, read in place.
class StringArray {
 public:
  static Result<StringArray> open(const Metadata& metadata, std::string_view key);
  size_t size() const { return starts_.size(); }
  std::string_view operator[](size_t i) const {
    const uint64_t end = i + 1 < starts_.size() ? starts_[i + 1] - 8 : payload_.size();
    return {reinterpret_cast<const char*>(payload_.data()) + starts_[i], end - starts_[i]};
  }
  uint64_t table_bytes() const { return starts_.capacity() * sizeof(uint32_t); }

 private:
  ByteView payload_;
  std::vector<uint32_t> starts_;  // of each element's bytes in the payload
};

// What a family assumes where the file does not say.
struct VocabularyDefaults {
  Token bos = -1, eos = -1, unknown = -1;
  bool add_bos = false;
};

class Vocabulary {
 public:
  static Result<Vocabulary> create(const Metadata& metadata, const VocabularyDefaults& defaults);

  size_t size() const { return texts_.size(); }
  // "[EMPTY_7]" for token 7 where the file has no text for it, as llama.cpp calls it.
  std::string text(Token token) const;
  TokenKind kind(Token token) const { return kinds_[token]; }
  bool is_special(Token token) const {  // silent, and never parsed out of a user's text
    return kind(token) == TokenKind::Control || kind(token) == TokenKind::Unknown;
  }
  float score(Token token) const { return scores_.empty() ? 0.0f : scores_[token]; }
  Token find(std::string_view text) const;  // -1 where there is none
  struct MergeRule {
    Token left = -1, right = -1, result = -1;  // -1 where there is no such token
  };
  MergeRule merge_rule(std::string_view text) const;  // an element of tokenizer.ggml.merges
  size_t longest_text() const { return longest_text_; }
  bool contains(Token token) const { return token >= 0 && static_cast<size_t>(token) < size(); }

  Token bos = -1, eos = -1, unknown = -1;
  bool add_bos = false, add_eos = false;
  bool ends_generation(Token token) const;
  uint64_t table_bytes() const;

 private:
  struct Slot {
    uint32_t id_plus_1;  // 0: free
    uint32_t tag;        // high bits of the hash: most texts need no comparing
  };
  Status read_kinds(const Metadata& metadata);
  Status read_scores(const Metadata& metadata);
  Status index_texts();
  void find_special_tokens(const Metadata& metadata);
  void add_end(Token token);
  void settle_exceptions();

  StringArray texts_;
  std::vector<TokenKind> kinds_;
  std::vector<float> scores_;  // empty: all zero
  std::vector<Slot> slots_;    // open addressing
  std::vector<Token> ends_;    // sorted
  size_t longest_text_ = 0;
};

uint64_t hash_bytes(std::string_view bytes);
// Slots of an open-addressing table for `count` entries: a power of two, at most 3/4 full.
size_t slots_for(size_t count);

}  // namespace enxuto
