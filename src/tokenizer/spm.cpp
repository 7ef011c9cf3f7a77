// SentencePiece-like: spaces become U+2581, characters are symbols, and the neighbours that form
// the token with the highest score (leftmost where equal) are merged until none do. What is no
// token in the end becomes byte tokens.
#include <algorithm>

#include "tokenizer/base_tokenizer.h"
#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

class SpmTokenizer final : public BaseTokenizer {
 public:
  SpmTokenizer(const Metadata& metadata, Vocabulary vocabulary, bool prefixes_space)
      : BaseTokenizer(metadata, std::move(vocabulary)), prefixes_space_(prefixes_space) {
    constexpr char kHex[] = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; byte++) {
      const char name[] = {'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'};
      const char itself = static_cast<char>(byte);
      Token token = vocabulary_.find({name, sizeof name});
      if (token < 0) token = vocabulary_.find({&itself, 1});
      byte_tokens_[byte] = token >= 0 ? token : vocabulary_.unknown;
    }
  }

  uint64_t table_bytes() const override {
    return vocabulary_.table_bytes() + splitter_.table_bytes() + sizeof *this;
  }

  std::vector<Token> base_tokens() const override {
    std::vector<Token> tokens;
    const auto add = [&](Token token) {
      if (token >= 0) tokens.push_back(token);
    };
    for (int byte = 0; byte < 256; byte++) {
      const char itself = static_cast<char>(byte);
      add(byte_tokens_[byte]);
      add(vocabulary_.find({&itself, 1}));
    }
    add(vocabulary_.find(kSpace));  // its bytes would be read as U+2581, not as a space
    return tokens;
  }

  LastMerge last_merge(Token token) const override {
    const std::string text = vocabulary_.text(token);
    if (vocabulary_.find(text) != token) return {};
    Merging merging(vocabulary_, text);
    merging.run(2);
    std::vector<Token> parts;
    merging.for_each([&](Token part, std::string_view) { parts.push_back(part); });
    if (parts.size() == 2) return {parts[0], parts[1], true};
    return {-1, -1, parts.size() == 1};
  }

 protected:
  bool prefixes_space() const override { return prefixes_space_; }

  void encode_text(std::string_view text, bool after_special,
                   std::vector<Token>& out) const override {
    std::string escaped;
    escaped.reserve(text.size() + text.size() / 2 + kSpace.size());
    if (prefixes_space_ && after_special) escaped += kSpace;
    for (const char c : text) c == ' ' ? escaped += kSpace : escaped += c;
    Merging merging(vocabulary_, escaped);
    merging.run();
    merging.for_each([&](Token token, std::string_view bytes) {
      if (token >= 0) return out.push_back(token);
      for (const char c : bytes)
        if (const Token byte = byte_tokens_[static_cast<uint8_t>(c)]; byte >= 0)
          out.push_back(byte);
    });
  }

  std::string piece_of_text(const std::string& text) const override {
    std::string piece;
    for (size_t at = 0; at < text.size();) {
      const bool space = std::string_view(text).substr(at).starts_with(kSpace);
      piece += space ? ' ' : text[at];
      at += space ? kSpace.size() : 1;
    }
    return piece;
  }

 private:
  class Merging {
   public:
    Merging(const Vocabulary& vocabulary, std::string_view text)
        : vocabulary_(vocabulary), text_(text) {
      symbols_.reserve(text.size());
      for (uint32_t at = 0; at < text.size();) {
        const auto bytes = static_cast<uint32_t>(std::min(utf8_length(text[at]), text.size() - at));
        const auto index = static_cast<uint32_t>(symbols_.size());
        symbols_.push_back(
            {at, bytes, index - 1, index + 1, vocabulary.find(text.substr(at, bytes))});
        at += bytes;
      }
    }

    // Until no neighbours merge, or `least` symbols are left.
    void run(size_t least = 1) {
      for (uint32_t i = 0; i + 1 < symbols_.size(); i++) push(i);
      for (size_t left_over = symbols_.size(); left_over > least && !heap_.empty();) {
        std::pop_heap(heap_.begin(), heap_.end(), Candidate::later);
        const Candidate candidate = heap_.back();
        heap_.pop_back();
        Symbol& left = symbols_[candidate.left];
        if (left.bytes == 0 || left.next >= symbols_.size()) continue;
        Symbol& right = symbols_[left.next];
        if (left.bytes + right.bytes != candidate.bytes) continue;  // changed since
        left.bytes = candidate.bytes;
        left.token = candidate.token;
        left.next = right.next;
        right.bytes = 0;
        left_over--;
        if (left.next < symbols_.size()) symbols_[left.next].previous = candidate.left;
        if (left.previous < symbols_.size()) push(left.previous);
        push(candidate.left);
      }
    }

    template <class Use>
    void for_each(Use use) const {
      for (uint32_t i = 0; i < symbols_.size(); i = symbols_[i].next)
        use(symbols_[i].token, text_.substr(symbols_[i].start, symbols_[i].bytes));
    }

   private:
    struct Symbol {
      uint32_t start, bytes;    // 0 bytes: merged into one before it
      uint32_t previous, next;  // at or beyond the count: none
      Token token;
    };
    struct Candidate {
      float score;
      uint32_t left, bytes;
      Token token;
      static bool later(const Candidate& a, const Candidate& b) {
        return a.score < b.score || (a.score == b.score && a.left > b.left);
      }
    };
    void push(uint32_t left) {
      const Symbol& symbol = symbols_[left];
      if (symbol.next >= symbols_.size()) return;
      const uint32_t bytes = symbol.bytes + symbols_[symbol.next].bytes;
      const Token token = vocabulary_.find(text_.substr(symbol.start, bytes));
      if (token < 0) return;
      heap_.push_back({vocabulary_.score(token), left, bytes, token});
      std::push_heap(heap_.begin(), heap_.end(), Candidate::later);
    }

    const Vocabulary& vocabulary_;
    std::string_view text_;
    std::vector<Symbol> symbols_;
    std::vector<Candidate> heap_;
  };

  bool prefixes_space_;
  Token byte_tokens_[256];
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> create_spm(const Metadata& metadata) {
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::create(metadata, {1, 2, 0, true}));
  const bool prefix = metadata.bool_at("tokenizer.ggml.add_space_prefix").value_or(true);
  return std::unique_ptr<Tokenizer>(
      std::make_unique<SpmTokenizer>(metadata, std::move(vocabulary), prefix));
}

}  // namespace enxuto
