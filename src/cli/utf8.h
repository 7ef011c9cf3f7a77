// UTF-8 at the edge of a stream: whole characters out, cut ones held back.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace enxuto {

// Bytes of the character that starts at text[i]; 0 where it is malformed or cut.
size_t utf8_length_at(std::string_view text, size_t i);

// Whether text[i…] may be the beginning of a character whose rest is still to come.
bool utf8_cut_at(std::string_view text, size_t i);

// Joins the pieces of tokens: hands out text as whole characters, and holds back what could still
// turn out to be the start of a stop text.
class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that may be shown now.
  std::string push(std::string_view piece);
  // What is left at the end of the stream.
  std::string finish();
  // A stop text came; nothing after it is handed out.
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace enxuto
