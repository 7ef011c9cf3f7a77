// Which tokens may come next: what the form of a medium, or a schema, leaves of a vocabulary.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace enxuto {

// Tokens of a vocabulary, a bit each.
class TokenSet {
 public:
  explicit TokenSet(size_t vocabulary) : words_((vocabulary + 63) / 64), size_(vocabulary) {}

  size_t vocabulary() const { return size_; }
  bool contains(Token token) const { return words_[word(token)] >> bit(token) & 1; }
  void add(Token token) { words_[word(token)] |= uint64_t{1} << bit(token); }
  void add(Token first, Token end) {  // all of [first, end)
    for (Token token = first; token < end; ++token) add(token);
  }
  void add(const TokenSet& others) {  // of the same vocabulary
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= others.words_[i];
  }
  void remove(Token token) { words_[word(token)] &= ~(uint64_t{1} << bit(token)); }
  void clear() { words_.assign(words_.size(), 0); }
  bool empty() const {
    for (const uint64_t each : words_)
      if (each) return false;
    return true;
  }
  // body(token), ascending.
  template <class Body>
  void for_each(const Body& body) const {
    for (size_t i = 0; i < words_.size(); ++i)
      for (uint64_t left = words_[i]; left; left &= left - 1)
        body(static_cast<Token>(i * 64) + std::countr_zero(left));
  }

 private:
  static size_t word(Token token) { return static_cast<size_t>(token) / 64; }
  static unsigned bit(Token token) { return static_cast<unsigned>(token) % 64; }
  std::vector<uint64_t> words_;
  size_t size_;
};

// A sequence that is being written.
class TokenRules {
 public:
  virtual ~TokenRules() = default;
  // What may come next, valid until the next call; empty where the sequence is complete.
  virtual const TokenSet& allowed() = 0;
  virtual void accept(Token token) = 0;  // one of those that are allowed
};

}  // namespace enxuto
