#include "media/token_pieces.h"

#include <bitset>
#include <numeric>

#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

// Whether the last character lacks bytes.
bool is_cut(std::string_view text) {
  size_t more = 0;  // bytes of it that are there, after its first
  while (more < text.size() && (text[text.size() - 1 - more] & 0xC0) == 0x80) ++more;
  if (more == text.size()) return false;
  return more + 1 < utf8_length(text[text.size() - 1 - more]);
}

bool can_follow_all(const std::vector<std::string>& pieces) {
  std::bitset<256> single;
  for (const std::string& piece : pieces)
    if (piece.size() == 1) single.set(static_cast<uint8_t>(piece[0]));
  for (size_t byte = 0x80; byte < 0xC0; ++byte)
    if (!single[byte]) return false;
  return true;
}

}  // namespace

TokenPieces::TokenPieces(const Tokenizer& tokenizer) {
  std::vector<std::string> pieces(tokenizer.vocabulary_size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto token = static_cast<Token>(i);
    if (!tokenizer.ends_generation(token)) pieces[i] = tokenizer.piece(token);
  }
  if (!can_follow_all(pieces))
    for (std::string& piece : pieces)
      if (is_cut(piece)) piece.clear();
  tokens_.resize(pieces.size());
  std::iota(tokens_.begin(), tokens_.end(), 0);
  std::erase_if(tokens_, [&](Token token) { return pieces[token].empty(); });
  std::ranges::stable_sort(tokens_, {},
                           [&](Token token) { return std::string_view(pieces[token]); });
  common_.reserve(tokens_.size()), starts_.reserve(tokens_.size() + 1);
  std::string_view before;
  for (const Token token : tokens_) {
    const std::string_view piece = pieces[token];
    const auto differs = std::ranges::mismatch(before, piece).in1;
    common_.push_back(static_cast<uint32_t>(differs - before.begin()));
    bytes_ += piece;
    starts_.push_back(static_cast<uint32_t>(bytes_.size()));
    longest_ = std::max(longest_, piece.size());
    before = piece;
  }
}

uint64_t TokenPieces::table_bytes(const Tokenizer& tokenizer) {
  const uint64_t n = tokenizer.vocabulary_size();
  uint64_t bytes = n * (2 * sizeof(uint32_t) + sizeof(Token));
  for (size_t i = 0; i < n; ++i) bytes += tokenizer.piece(static_cast<Token>(i)).size();
  return bytes + n * sizeof(std::string);  // while they are put in order
}

std::vector<Token> TokenPieces::spell(std::string_view whole) const {
  constexpr uint32_t kNone = UINT32_MAX;
  struct Way {
    uint32_t tokens = kNone;  // from here to the end
    uint32_t piece = 0;       // the first of them
  };
  std::vector<Way> ways(whole.size() + 1);
  ways.back().tokens = 0;
  for (size_t at = whole.size(); at-- > 0;) {
    size_t begin = 0, end = size();  // pieces that begin as the text does here
    for (size_t n = 0; at + n < whole.size() && begin < end; ++n) {
      const auto byte = static_cast<uint8_t>(whole[at + n]);
      const auto place = [&](size_t from, auto beyond) {
        size_t low = from, high = end;
        while (low < high) {
          const size_t middle = (low + high) / 2;
          const std::string_view piece = text(middle);
          const bool past = piece.size() > n && beyond(static_cast<uint8_t>(piece[n]));
          (past ? high : low) = past ? middle : middle + 1;
        }
        return low;
      };
      begin = place(begin, [&](uint8_t other) { return other >= byte; });
      end = place(begin, [&](uint8_t other) { return other > byte; });
      if (begin == end || text(begin).size() != n + 1) continue;
      const uint32_t rest = ways[at + n + 1].tokens;
      if (rest != kNone && rest + 1 < ways[at].tokens)
        ways[at] = {rest + 1, static_cast<uint32_t>(begin)};
    }
  }
  std::vector<Token> spelled;
  if (ways.front().tokens == kNone) return spelled;
  for (size_t at = 0; at < whole.size(); at += text(ways[at].piece).size())
    spelled.push_back(token(ways[at].piece));
  return spelled;
}

}  // namespace enxuto
