// Byte-level BPE. A piece of text starts as its bytes, each a token; the pair with the lowest rank
// (leftmost where equal) is merged until no pair has one. Merges go from pair of ids to id.
#include <algorithm>
#include <queue>

#include "tokenizer/base_tokenizer.h"
#include "tokenizer/byte_characters.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

constexpr uint32_t kNoRank = UINT32_MAX;
constexpr size_t kShortPiece = 32;  // up to here a plain search beats the heap

// The byte that a (canonical) character stands for, -1 for others'.
int byte_of_character(std::string_view character) {
  uint32_t code_point = static_cast<uint8_t>(character[0]);
  if (character.size() == 2)
    code_point = (code_point & 0x1F) << 6 | (static_cast<uint8_t>(character[1]) & 0x3F);
  if (character.size() > 2 || code_point >= 512) return -1;
  return byte_characters().byte_of[code_point];
}

struct Merge {
  Token left, right, result;
  uint32_t rank;
};

class MergeTable {
 public:
  static Result<MergeTable> create(const Metadata& metadata, const Vocabulary& vocabulary);
  const Merge& find(Token left, Token right) const {
    size_t slot = slot_of(left, right);
    while (slots_[slot].rank != kNoRank &&
           (slots_[slot].left != left || slots_[slot].right != right))
      slot = (slot + 1) & mask_;
    return slots_[slot];  // rank kNoRank where the pair does not merge
  }
  uint64_t table_bytes() const { return slots_.capacity() * sizeof(Merge); }

 private:
  size_t slot_of(Token left, Token right) const {
    const uint64_t pair =
        static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    const uint64_t hash = pair * 0x9E3779B97F4A7C15;
    return (hash ^ hash >> 32) & mask_;
  }
  std::vector<Merge> slots_;
  size_t mask_ = 0;
};

Result<MergeTable> MergeTable::create(const Metadata& metadata, const Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const StringArray merges, StringArray::open(metadata, "tokenizer.ggml.merges"));
  MergeTable table;
  table.slots_.assign(slots_for(merges.size()), Merge{-1, -1, -1, kNoRank});
  table.mask_ = table.slots_.size() - 1;
  for (size_t i = 0; i < merges.size(); i++) {
    const Vocabulary::MergeRule rule = vocabulary.merge_rule(merges[i]);
    const Merge merge{rule.left, rule.right, rule.result, static_cast<uint32_t>(i)};
    if (merge.left < 0 || merge.right < 0 || merge.result < 0)
      return Status::bad_input("merge " + std::to_string(i) + " is not of two tokens into a third",
                               "convert or download the model again");
    const Merge& free = table.find(merge.left, merge.right);
    if (free.rank == kNoRank) table.slots_[&free - table.slots_.data()] = merge;
  }
  return table;
}

// One piece's symbols: token ids, or -2 - byte for a byte that is no token.
class PieceMerger {
 public:
  explicit PieceMerger(const MergeTable& merges) : merges_(merges) {}
  std::vector<Token>& symbols() { return symbols_; }
  // Until no pair merges, or `least` symbols are left.
  void merge(size_t least = 1) {
    symbols_.size() <= kShortPiece ? merge_by_search(least) : merge_by_heap(least);
  }

 private:
  void merge_by_search(size_t least) {
    size_t count = symbols_.size();
    if (count < 2) return;
    Token* symbols = symbols_.data();
    Merge pairs[kShortPiece];
    for (size_t i = 0; i + 1 < count; i++) pairs[i] = merges_.find(symbols[i], symbols[i + 1]);
    while (count > least) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < count; i++)
        if (pairs[i].rank < pairs[best].rank) best = i;
      if (pairs[best].rank == kNoRank) break;
      symbols[best] = pairs[best].result;
      count--;
      std::copy(symbols + best + 2, symbols + count + 1, symbols + best + 1);
      std::copy(pairs + best + 1, pairs + count, pairs + best);
      if (best > 0) pairs[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
      if (best + 1 < count) pairs[best] = merges_.find(symbols[best], symbols[best + 1]);
    }
    symbols_.resize(count);
  }

  void merge_by_heap(size_t least) {
    const auto count = static_cast<uint32_t>(symbols_.size());
    links_.resize(count);
    for (uint32_t i = 0; i < count; i++) links_[i] = {i - 1, i + 1};
    heap_.clear();
    for (uint32_t i = 0; i + 1 < count; i++) push(i);
    for (size_t left_over = count; left_over > least && !heap_.empty();) {
      std::pop_heap(heap_.begin(), heap_.end(), Candidate::later);
      const Candidate candidate = heap_.back();
      heap_.pop_back();
      const uint32_t left = candidate.left, right = links_[left].next;
      // A merged-away symbol is kGone; a pair that changed since has other ids.
      if (right >= count || symbols_[left] != candidate.left_id ||
          symbols_[right] != candidate.right_id)
        continue;
      symbols_[left] = candidate.result;
      symbols_[right] = kGone;
      left_over--;
      const uint32_t after = links_[left].next = links_[right].next;
      if (after < count) links_[after].previous = left;
      if (links_[left].previous < count) push(links_[left].previous);
      if (after < count) push(left);
    }
    std::erase(symbols_, kGone);
  }

  void push(uint32_t left) {
    const Merge& merge = merges_.find(symbols_[left], symbols_[links_[left].next]);
    if (merge.rank == kNoRank) return;
    heap_.push_back({merge.rank, left, merge.left, merge.right, merge.result});
    std::push_heap(heap_.begin(), heap_.end(), Candidate::later);
  }

  static constexpr Token kGone = -1;
  struct Link {
    uint32_t previous, next;  // at or beyond the count: none
  };
  struct Candidate {
    uint32_t rank, left;
    Token left_id, right_id, result;
    static bool later(const Candidate& a, const Candidate& b) {
      return a.rank > b.rank || (a.rank == b.rank && a.left > b.left);
    }
  };
  const MergeTable& merges_;
  std::vector<Token> symbols_;
  std::vector<Link> links_;
  std::vector<Candidate> heap_;
};

class BpeTokenizer final : public BaseTokenizer {
 public:
  BpeTokenizer(const Metadata& metadata, Vocabulary vocabulary, MergeTable merges,
               Pretokenizer pretokenizer)
      : BaseTokenizer(metadata, std::move(vocabulary)),
        merges_(std::move(merges)),
        pretokenizer_(std::move(pretokenizer)) {
    for (uint32_t byte = 0; byte < 256; byte++) {
      const Token token = vocabulary_.find(byte_characters().of_byte[byte]);
      byte_symbols_[byte] = token >= 0 ? token : -2 - static_cast<Token>(byte);
    }
  }

  uint64_t table_bytes() const override {
    return vocabulary_.table_bytes() + splitter_.table_bytes() + merges_.table_bytes() +
           sizeof *this;
  }

  std::vector<Token> base_tokens() const override {
    std::vector<Token> tokens;
    for (uint32_t byte = 0; byte < 256; byte++) {
      const char itself = static_cast<char>(byte);
      for (const Token token : {byte_symbols_[byte], vocabulary_.find({&itself, 1})})
        if (token >= 0) tokens.push_back(token);
    }
    return tokens;
  }

  LastMerge last_merge(Token token) const override {
    PieceMerger merger(merges_);
    std::vector<Token>& symbols = merger.symbols();
    if (!bytes_of_text(vocabulary_.text(token), symbols)) return {};
    merger.merge(2);
    if (symbols.size() == 1) return {-1, -1, symbols[0] == token};
    if (symbols.size() == 2 && merges_.find(symbols[0], symbols[1]).result == token)
      return {symbols[0], symbols[1], true};
    return {-1, -1, pretokenizer_.ignores_merges()};  // as a whole word
  }

 protected:
  bool prefixes_space() const override { return false; }

  void encode_text(std::string_view text, bool, std::vector<Token>& out) const override {
    std::string canonical;
    if (!is_canonical_utf8(text)) text = canonical = canonical_utf8(text);
    std::vector<uint32_t> piece_bytes;
    pretokenizer_.split(text, piece_bytes);
    PieceMerger merger(merges_);
    std::string word;
    for (const uint32_t bytes : piece_bytes) {
      const std::string_view piece = text.substr(0, bytes);
      text.remove_prefix(bytes);
      if (pretokenizer_.ignores_merges() && bytes <= vocabulary_.longest_text()) {
        word.clear();
        for (const char c : piece) word += byte_characters().of_byte[static_cast<uint8_t>(c)];
        if (const Token token = vocabulary_.find(word); token >= 0) {
          out.push_back(token);
          continue;
        }
      }
      std::vector<Token>& symbols = merger.symbols();
      symbols.resize(bytes);
      for (size_t i = 0; i < bytes; i++) symbols[i] = byte_symbols_[static_cast<uint8_t>(piece[i])];
      merger.merge();
      for (const Token symbol : symbols) append(symbol, out);
    }
  }

  // The bytes that the text's characters stand for. What stands for no byte is shown as llama.cpp
  // shows it.
  std::string piece_of_text(const std::string& text) const override {
    std::string bytes, canonical = canonical_utf8(text);
    for (size_t at = 0; at < canonical.size();) {
      const std::string_view character =
          std::string_view(canonical).substr(at, utf8_length(canonical[at]));
      at += character.size();
      if (const int byte = byte_of_character(character); byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      bytes += "[UNK_BYTE_0x";
      for (const char c : character) {
        constexpr char kHex[] = "0123456789abcdef";
        bytes += kHex[static_cast<uint8_t>(c) >> 4];
        bytes += kHex[c & 15];
      }
      bytes += text + "]";
    }
    return bytes;
  }

 private:
  // The symbols that a token's text starts as; false where it holds what stands for no byte.
  bool bytes_of_text(std::string_view text, std::vector<Token>& symbols) const {
    if (!is_canonical_utf8(text)) return false;
    for (size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
      const int byte = byte_of_character(text.substr(at, utf8_length(text[at])));
      if (byte < 0) return false;
      symbols.push_back(byte_symbols_[byte]);
    }
    return true;
  }

  void append(Token symbol, std::vector<Token>& out) const {
    if (symbol >= 0) return out.push_back(symbol);
    for (const char c : byte_characters().of_byte[-2 - symbol])
      if (const Token token = vocabulary_.find({&c, 1}); token >= 0) out.push_back(token);
  }

  MergeTable merges_;
  Pretokenizer pretokenizer_;
  Token byte_symbols_[256];
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> create_bpe(const Metadata& metadata) {
  const std::string_view rules = metadata.string_at("tokenizer.ggml.pre").value_or("default");
  ASSIGN_OR_RETURN(Pretokenizer pretokenizer, Pretokenizer::create(rules));
  const Token bos = pretokenizer.default_bos();
  ASSIGN_OR_RETURN(Vocabulary vocabulary,
                   Vocabulary::create(metadata, {bos, 11, -1, pretokenizer.adds_bos()}));
  ASSIGN_OR_RETURN(MergeTable merges, MergeTable::create(metadata, vocabulary));
  return std::unique_ptr<Tokenizer>(std::make_unique<BpeTokenizer>(
      metadata, std::move(vocabulary), std::move(merges), std::move(pretokenizer)));
}

}  // namespace enxuto
