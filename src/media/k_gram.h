// The classical rival of a network: a k-gram model that backs off to shorter contexts, interpolated
// as Witten & Bell do (PPM's method C; of those that Pearce & Wiggins tried on music, 2004, the
// best).
//
//   p_k(x | c) = (n(c x) + t(c) p_{k-1}(x | c')) / (n(c) + t(c))      p_{-1} = 1 / vocabulary
//
// n(c): how often context c of k tokens was met, t(c): how many tokens were met after it; c' is c
// without its oldest token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace enxuto {

inline constexpr uint32_t kLongestKGram = 8;  // tokens of context

class KGram {
 public:
  // It never takes more than memory_bytes: contexts that are met when they are full are not
  // counted.
  KGram(size_t vocabulary, uint64_t memory_bytes);
  // A sequence of its own, whose contexts begin with it.
  void learn(std::span<const Token> sequence);
  // p of sequence[i] by its context: out[k] of k tokens at most, kLongestKGram + 1 of them.
  void predict(std::span<const Token> sequence, size_t i, std::span<double> out) const;

 private:
  struct Entry {
    uint64_t key = 0;  // 0: free; hash of a context, or of one and a token
    uint32_t n = 0, kinds = 0;
  };
  const Entry* find(uint64_t key) const;
  Entry* find_or_add(uint64_t key);
  template <class Body>
  static void for_each_context(std::span<const Token> sequence, size_t i, const Body& body);

  double vocabulary_;
  std::vector<Entry> entries_;  // open addressing, a power of two
  size_t used_ = 0;
};

}  // namespace enxuto
