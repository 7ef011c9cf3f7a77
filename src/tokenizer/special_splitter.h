// Finds the texts of special tokens in a text, longest token first over the whole text, as
// llama.cpp does: in "xabcd" with tokens "xab" and "abcd" it is "abcd" that is found.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace enxuto {

// A part of a text: a special token, or (token -1) bytes to be encoded.
struct Fragment {
  Token token;
  std::string_view text;
};

class SpecialSplitter {
 public:
  // `vocabulary` must outlive the splitter. strips_right: by token, white space after it vanishes.
  SpecialSplitter(const Vocabulary& vocabulary, bool strips_right);

  // parse_special: control and unknown tokens too, not only user-defined ones; but none that
  // covers a byte whose place is in `guarded` (sorted).
  std::vector<Fragment> split(std::string_view text, bool parse_special,
                              std::span<const size_t> guarded) const;
  std::vector<std::string_view> control_texts() const;
  uint64_t table_bytes() const;

 private:
  struct Special {
    std::string text;
    Token token;
    bool control, strips_right;
  };
  struct Hit {
    const Special* special;
    size_t first, last;  // where in the text it occurs first and last
  };
  std::vector<Hit> present(std::string_view text, bool parse_special) const;

  std::vector<Special> specials_;        // sorted by text
  std::array<uint32_t, 257> by_byte_{};  // specials_[by_byte_[b]…) start with byte b
};

}  // namespace enxuto
