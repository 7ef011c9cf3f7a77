// Cuts text into the pieces that byte-level BPE works in, by the regexes that
// tokenizer.ggml.pre names. One row per set of rules; see kRules in the .cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

class Pretokenizer {
 public:
  static Result<Pretokenizer> create(std::string_view name);
  // Of the names that mean the same rules, the first in its row; empty where none is known.
  static std::string_view first_name(std::string_view name);
  ~Pretokenizer();
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;

  // The lengths in bytes of the pieces of `text`, which must be canonical UTF-8; their sum is its
  // size.
  void split(std::string_view text, std::vector<uint32_t>& piece_bytes) const;

  bool ignores_merges() const { return ignores_merges_; }  // whole words that are tokens stay so
  bool adds_bos() const { return adds_bos_; }
  Token default_bos() const { return default_bos_; }

 private:
  class Regex;
  Pretokenizer();
  std::vector<Regex> regexes_;  // each cuts the pieces of the one before further
  bool ignores_merges_ = false, adds_bos_ = false;
  Token default_bos_ = 11;
};

}  // namespace enxuto
