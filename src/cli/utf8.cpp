#include "cli/utf8.h"

#include <algorithm>
#include <utility>

namespace enxuto {
namespace {

size_t expected_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}

// The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
bool second_byte_fits(unsigned char first, unsigned char second) {
  if (first == 0xe0) return second >= 0xa0 && second < 0xc0;
  if (first == 0xed) return second >= 0x80 && second < 0xa0;
  if (first == 0xf0) return second >= 0x90 && second < 0xc0;
  if (first == 0xf4) return second >= 0x80 && second < 0x90;
  return second >= 0x80 && second < 0xc0;
}

// How many bytes from i on belong together, and how many such a character has in all.
std::pair<size_t, size_t> valid_prefix(std::string_view text, size_t i) {
  const size_t expected = expected_length(static_cast<unsigned char>(text[i]));
  size_t n = 1;
  while (n < expected && i + n < text.size()) {
    const auto byte = static_cast<unsigned char>(text[i + n]);
    const bool fits = n == 1 ? second_byte_fits(static_cast<unsigned char>(text[i]), byte)
                             : (byte & 0xc0) == 0x80;
    if (!fits) return {n, 0};
    ++n;
  }
  return {n, expected};
}

}  // namespace

size_t utf8_length_at(std::string_view text, size_t i) {
  const auto [have, expected] = valid_prefix(text, i);
  return expected != 0 && have == expected ? expected : 0;
}

bool utf8_cut_at(std::string_view text, size_t i) {
  const auto [have, expected] = valid_prefix(text, i);
  return have < expected && i + have == text.size();
}

std::string TextStream::push(std::string_view piece) {
  if (stopped_) return {};
  held_ += piece;
  size_t end = held_.size();
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  stopped_ = end < held_.size();
  if (!stopped_) {
    for (const std::string& stop : stops_) {
      size_t n = std::min(stop.size() - 1, held_.size());
      while (n > 0 && !held_.ends_with(std::string_view(stop).substr(0, n))) --n;
      end = std::min(end, held_.size() - n);
    }
    for (size_t back = 1; back <= std::min<size_t>(3, held_.size()); ++back)
      if (utf8_cut_at(held_, held_.size() - back)) end = std::min(end, held_.size() - back);
  }
  std::string out = held_.substr(0, end);
  held_.erase(0, stopped_ ? held_.size() : end);
  return out;
}

std::string TextStream::finish() { return std::exchange(held_, {}); }

}  // namespace enxuto
