// One scan finds which special tokens are present at all (few are); then each of those takes its
// places, longest first, only in the stretch of text where it was seen.
#include "tokenizer/special_splitter.h"

#include <algorithm>
#include <cctype>

namespace enxuto {
namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

bool keeps_space_after(std::string_view text) {
  return text == "<unk>" || text == "<s>" || text == "<|endoftext|>";
}

}  // namespace

SpecialSplitter::SpecialSplitter(const Vocabulary& vocabulary, bool strips_right) {
  for (size_t i = 0; i < vocabulary.size(); i++) {
    const auto token = static_cast<Token>(i);
    const bool control = vocabulary.is_special(token);
    if (!control && vocabulary.kind(token) != TokenKind::UserDefined) continue;
    const std::string text = vocabulary.text(token);
    specials_.push_back({text, token, control, strips_right && !keeps_space_after(text)});
  }
  std::sort(specials_.begin(), specials_.end(),
            [](const Special& a, const Special& b) { return a.text < b.text; });
  for (const Special& special : specials_) by_byte_[static_cast<uint8_t>(special.text[0]) + 1]++;
  for (size_t byte = 1; byte < by_byte_.size(); byte++) by_byte_[byte] += by_byte_[byte - 1];
}

std::vector<SpecialSplitter::Hit> SpecialSplitter::present(std::string_view text,
                                                           bool parse_special) const {
  constexpr size_t kNowhere = SIZE_MAX;
  std::vector<Hit> hits(specials_.size(), Hit{nullptr, kNowhere, 0});
  for (size_t at = 0; at < text.size(); at++) {
    const auto byte = static_cast<uint8_t>(text[at]);
    auto first = specials_.begin() + by_byte_[byte], last = specials_.begin() + by_byte_[byte + 1];
    // [first, last) share their first `depth` bytes with the text; the shortest comes first.
    for (size_t depth = 1; first != last; depth++) {
      for (; first != last && first->text.size() == depth; ++first) {
        if (first->control && !parse_special) continue;
        Hit& hit = hits[first - specials_.begin()];
        hit = {&*first, std::min(hit.first, at), at};
      }
      if (first == last || at + depth >= text.size()) break;
      const auto next = static_cast<uint8_t>(text[at + depth]);
      const auto byte_at = [depth](const Special& s) {
        return static_cast<uint8_t>(s.text[depth]);
      };
      first = std::lower_bound(first, last, next,
                               [&](const Special& s, uint8_t b) { return byte_at(s) < b; });
      last = std::upper_bound(first, last, next,
                              [&](uint8_t b, const Special& s) { return b < byte_at(s); });
    }
  }
  std::erase_if(hits, [](const Hit& hit) { return hit.special == nullptr; });
  return hits;
}

std::vector<Fragment> SpecialSplitter::split(std::string_view text, bool parse_special,
                                             std::span<const size_t> guarded) const {
  std::vector<Fragment> parts;
  if (text.empty()) return parts;
  parts.push_back({-1, text});
  std::vector<Hit> hits = present(text, parse_special);
  std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) {
    return a.special->text.size() > b.special->text.size();
  });
  const auto is_guarded = [&](size_t from, size_t bytes) {
    const auto next = std::lower_bound(guarded.begin(), guarded.end(), from);
    return next != guarded.end() && *next < from + bytes;
  };
  for (const Hit& hit : hits) {
    const Special& special = *hit.special;
    std::vector<Fragment> finer;
    finer.reserve(parts.size() + 2);
    for (const Fragment& part : parts) {
      const size_t base = part.text.data() - text.data();
      if (part.token >= 0 || base > hit.last || base + part.text.size() <= hit.first) {
        finer.push_back(part);
        continue;
      }
      std::string_view rest = part.text;
      for (size_t search = 0;;) {
        const size_t found = rest.find(special.text, search);
        if (found == std::string_view::npos) break;
        if (special.control && is_guarded(rest.data() - text.data() + found, special.text.size())) {
          search = found + 1;
          continue;
        }
        if (found > 0) finer.push_back({-1, rest.substr(0, found)});
        finer.push_back({special.token, rest.substr(found, special.text.size())});
        rest.remove_prefix(found + special.text.size());
        while (special.strips_right && !rest.empty() && is_space(rest[0])) rest.remove_prefix(1);
        search = 0;
      }
      if (!rest.empty()) finer.push_back({-1, rest});
    }
    parts.swap(finer);
  }
  return parts;
}

std::vector<std::string_view> SpecialSplitter::control_texts() const {
  std::vector<std::string_view> texts;
  for (const Special& special : specials_)
    if (special.control) texts.push_back(special.text);
  return texts;
}

uint64_t SpecialSplitter::table_bytes() const {
  uint64_t bytes = specials_.capacity() * sizeof(Special) + sizeof by_byte_;
  for (const Special& special : specials_) bytes += special.text.capacity();
  return bytes;
}

}  // namespace enxuto
