// Decoding follows llama.cpp: lenient about overlong forms and surrogates, one U+FFFD for every
// byte that starts nothing. Classes come from a table of ranges, unfolded once into pages.
#include "tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

namespace enxuto {
namespace {

constexpr uint32_t kRanges[] = {
#include "tokenizer/unicode_ranges.inc"
};
constexpr uint32_t kCodePoints = 0x110000;
constexpr uint32_t kPage = 256;

// Two steps: page_of[code point / 256], then the class byte; equal pages are stored once.
class ClassTable {
 public:
  ClassTable() {
    constexpr char kClasses[] = {kOtherClass, kNumberClass, kLetterClass, kPunctuationClass,
                                 kMarkClass,  kSymbolClass, kSpaceClass};
    std::string page(kPage, '\0');
    size_t range = 0;
    for (uint32_t first = 0; first < kCodePoints; first += kPage) {
      for (uint32_t i = 0; i < kPage; i++) {
        while (range + 1 < std::size(kRanges) && kRanges[range + 1] >> 3 <= first + i) range++;
        page[i] = kClasses[kRanges[range] & 7];
      }
      page_of_[first / kPage] = store(page);
    }
  }
  char operator[](uint32_t code_point) const {
    return pages_[page_of_[code_point / kPage] * kPage + code_point % kPage];
  }

 private:
  uint16_t store(const std::string& page) {
    // Long runs of equal pages (ideographs, unassigned planes) follow each other or the first.
    const size_t stored = pages_.size() / kPage;
    for (size_t i = stored; i-- > 0;)
      if (std::memcmp(&pages_[i * kPage], page.data(), kPage) == 0) return static_cast<uint16_t>(i);
    pages_ += page;
    return static_cast<uint16_t>(stored);
  }
  std::string pages_;
  std::array<uint16_t, kCodePoints / kPage> page_of_{};
};

const ClassTable& class_table() {
  static const ClassTable table;
  return table;
}

struct Character {
  uint32_t code_point;
  uint32_t bytes;
};

std::optional<Character> decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return Character{lead, 1};
  if (lead < 0xC0 || lead >= 0xF8) return std::nullopt;
  const uint32_t bytes = static_cast<uint32_t>(utf8_length(text[0]));
  if (text.size() < bytes) return std::nullopt;
  uint32_t code_point = lead & (0x7F >> bytes);
  for (uint32_t i = 1; i < bytes; i++) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  if (code_point >= kCodePoints) return std::nullopt;
  return Character{code_point, bytes};
}

uint32_t shortest_form(uint32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

size_t ascii_run(std::string_view text, size_t from) {
  size_t i = from;
  for (uint64_t word; i + 8 <= text.size(); i += 8) {
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080) break;
  }
  while (i < text.size() && static_cast<uint8_t>(text[i]) < 0x80) i++;
  return i - from;
}

}  // namespace

void append_utf8(uint32_t code_point, std::string& out) {
  const auto add = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  const uint32_t bytes = shortest_form(code_point);
  if (bytes == 1) return add(code_point);
  constexpr uint32_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  add(kLead[bytes] | code_point >> 6 * (bytes - 1));
  for (uint32_t i = bytes - 1; i-- > 0;) add(0x80 | (code_point >> 6 * i & 0x3F));
}

bool is_canonical_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    i += ascii_run(text, i);
    if (i == text.size()) break;
    const auto character = decode(text.substr(i));
    if (!character || character->bytes != shortest_form(character->code_point)) return false;
    i += character->bytes;
  }
  return true;
}

std::string canonical_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto character = decode(text.substr(i));
    append_utf8(character ? character->code_point : 0xFFFD, out);
    i += character ? character->bytes : 1;
  }
  return out;
}

void class_bytes(std::string_view text, std::string& classes) {
  const ClassTable& table = class_table();
  classes.resize(text.size());
  char* out = classes.data();
  for (size_t i = 0; i < text.size();) {
    const size_t ascii = ascii_run(text, i);
    std::memcpy(out, text.data() + i, ascii);
    out += ascii;
    i += ascii;
    while (i < text.size() && static_cast<uint8_t>(text[i]) >= 0x80) {
      const Character character = *decode(text.substr(i));
      *out++ = table[character.code_point];
      i += character.bytes;
    }
  }
  classes.resize(out - classes.data());
}

}  // namespace enxuto
