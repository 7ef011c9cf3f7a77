#include "media/caption_words.h"

#include <cctype>

namespace enxuto {

std::string plain_caption(std::string_view caption) {
  std::string plain;
  for (const char c : caption) {
    const bool space = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (space && (plain.empty() || plain.back() == ' ')) continue;
    plain += space ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (!plain.empty() && plain.back() == ' ') plain.pop_back();
  return plain;
}

std::vector<std::string> caption_words(std::string_view caption) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : plain_caption(caption) + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) || (c & 0x80)) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

}  // namespace enxuto
