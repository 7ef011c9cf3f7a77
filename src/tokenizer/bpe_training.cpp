#include "tokenizer/bpe_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "platform/interrupt.h"
#include "tokenizer/byte_characters.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {
namespace {

constexpr const char* kPretokenizer = "smollm";
constexpr const char* kEndOfText = "<|endoftext|>";
constexpr size_t kLongestWord = 256;      // bytes; longer ones are no words but data
constexpr uint64_t kLeastPairs = 2;       // what is met once is no rule
constexpr uint32_t kProgressMerges = 64;  // between two reports

using Pair = uint64_t;  // left id << 32 | right id: ordered as ids are
Pair pair_of(uint32_t left, uint32_t right) { return Pair{left} << 32 | right; }
uint32_t left_of(Pair pair) { return static_cast<uint32_t>(pair >> 32); }
uint32_t right_of(Pair pair) { return static_cast<uint32_t>(pair); }

struct PairHash {
  size_t operator()(Pair pair) const {
    const uint64_t hash = pair * 0x9E3779B97F4A7C15;
    return hash ^ hash >> 32;
  }
};

// How often a pair stands in the texts, and in which words it may stand (some more than once in the
// list, some no longer).
struct Occurrences {
  uint64_t count = 0;
  std::vector<uint32_t> words;
};

struct Candidate {
  uint64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {  // the best is the greatest
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// Words as tokens, and the pairs in them.
class Merging {
 public:
  void add_word(std::string_view bytes, uint64_t count);
  // All words were added.
  void begin();
  // The most frequent pair; false where none is met often enough.
  bool best(Pair& pair);
  void merge(Pair pair, uint32_t result);

 private:
  struct Word {
    uint32_t start, length;  // in symbols_
    uint64_t count;
  };
  void merge_in(uint32_t word, Pair pair, uint32_t result);
  void lose(Pair pair, uint64_t count) {
    if (const auto found = pairs_.find(pair); found != pairs_.end()) found->second.count -= count;
  }
  void gain(Pair pair, uint32_t word);

  std::vector<uint32_t> symbols_;
  std::vector<Word> words_;
  std::unordered_map<Pair, Occurrences, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<Pair> gained_;  // by the merge under way
};

void Merging::add_word(std::string_view bytes, uint64_t count) {
  const auto start = static_cast<uint32_t>(symbols_.size());
  for (const char c : bytes) symbols_.push_back(1u + byte_rank(static_cast<uint8_t>(c)));
  words_.push_back({start, static_cast<uint32_t>(bytes.size()), count});
}

void Merging::begin() {
  for (uint32_t w = 0; w < words_.size(); w++) {
    const uint32_t* symbols = &symbols_[words_[w].start];
    for (uint32_t i = 1; i < words_[w].length; i++) gain(pair_of(symbols[i - 1], symbols[i]), w);
  }
  gained_.clear();
  for (const auto& [pair, occurrences] : pairs_) queue_.push({occurrences.count, pair});
}

void Merging::gain(Pair pair, uint32_t word) {
  Occurrences& occurrences = pairs_[pair];
  occurrences.count += words_[word].count;
  if (occurrences.words.empty() || occurrences.words.back() != word)
    occurrences.words.push_back(word);
  gained_.push_back(pair);
}

// Counts only fall after a pair was queued, so an outdated one is queued again with its present
// count.
bool Merging::best(Pair& pair) {
  while (!queue_.empty()) {
    const Candidate top = queue_.top();
    queue_.pop();
    const auto found = pairs_.find(top.pair);
    const uint64_t count = found == pairs_.end() ? 0 : found->second.count;
    if (count < kLeastPairs) {
      if (found != pairs_.end() && count == 0) pairs_.erase(found);
      continue;
    }
    if (count != top.count) {
      queue_.push({count, top.pair});
      continue;
    }
    pair = top.pair;
    return true;
  }
  return false;
}

void Merging::merge(Pair pair, uint32_t result) {
  const auto found = pairs_.find(pair);
  const std::vector<uint32_t> words = std::move(found->second.words);
  pairs_.erase(found);
  for (const uint32_t word : words) merge_in(word, pair, result);
  std::sort(gained_.begin(), gained_.end());
  gained_.erase(std::unique(gained_.begin(), gained_.end()), gained_.end());
  for (const Pair changed : gained_)
    if (const auto it = pairs_.find(changed); it != pairs_.end() && it->second.count > 0)
      queue_.push({it->second.count, changed});
  gained_.clear();
}

void Merging::merge_in(uint32_t w, Pair pair, uint32_t result) {
  Word& word = words_[w];
  uint32_t* symbols = &symbols_[word.start];
  uint32_t kept = 0;
  for (uint32_t i = 0; i < word.length; i++) {
    const bool here =
        i + 1 < word.length && symbols[i] == left_of(pair) && symbols[i + 1] == right_of(pair);
    if (here) {
      if (kept > 0) {
        lose(pair_of(symbols[kept - 1], symbols[i]), word.count);
        gain(pair_of(symbols[kept - 1], result), w);
      }
      if (i + 2 < word.length) {
        lose(pair_of(symbols[i + 1], symbols[i + 2]), word.count);
        gain(pair_of(result, symbols[i + 2]), w);
      }
      i++;
    }
    symbols[kept++] = here ? result : symbols[i];
  }
  word.length = kept;
}

// The texts of tokens, and what they were merged from.
struct Learned {
  std::vector<std::string> tokens, merges;
  std::unordered_map<std::string, uint32_t> ids;

  uint32_t add(const std::string& text) {
    const auto [place, added] = ids.try_emplace(text, static_cast<uint32_t>(tokens.size()));
    if (added) tokens.push_back(text);
    return place->second;
  }
};

Learned start() {
  Learned learned;
  learned.add(kEndOfText);
  std::vector<std::string> characters(256);
  for (uint32_t byte = 0; byte < 256; byte++)
    characters[byte_rank(static_cast<uint8_t>(byte))] = byte_characters().of_byte[byte];
  for (const std::string& character : characters) learned.add(character);
  return learned;
}

Metadata metadata_of(const Learned& learned) {
  const std::string base = "tokenizer.ggml.";
  std::vector<int32_t> kinds(learned.tokens.size(), static_cast<int32_t>(TokenKind::Normal));
  kinds[0] = static_cast<int32_t>(TokenKind::Control);
  Metadata metadata;
  metadata.set_string(base + "model", "gpt2");
  metadata.set_string(base + "pre", kPretokenizer);
  metadata.set_strings(base + "tokens", {learned.tokens.begin(), learned.tokens.end()});
  metadata.set_i32s(base + "token_type", kinds);
  metadata.set_strings(base + "merges", {learned.merges.begin(), learned.merges.end()});
  metadata.set_u32(base + "bos_token_id", 0);
  metadata.set_u32(base + "eos_token_id", 0);
  metadata.set_bool(base + "add_bos_token", false);
  return metadata;
}

}  // namespace

size_t BpeTrainer::Hash::operator()(std::string_view text) const { return hash_bytes(text); }

Result<BpeTrainer> BpeTrainer::create(size_t most_words) {
  ASSIGN_OR_RETURN(Pretokenizer pretokenizer, Pretokenizer::create(kPretokenizer));
  BpeTrainer trainer(std::move(pretokenizer), most_words);
  trainer.counts_.reserve(most_words);
  return trainer;
}

void BpeTrainer::add(std::string_view text) {
  std::string canonical;
  if (!is_canonical_utf8(text)) text = canonical = canonical_utf8(text);
  pretokenizer_.split(text, piece_bytes_);
  for (const uint32_t bytes : piece_bytes_) {
    count(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

void BpeTrainer::count(std::string_view word) {
  n_words_++;
  if (word.size() > kLongestWord) {
    n_forgotten_++;
    return;
  }
  if (const auto found = counts_.find(word); found != counts_.end()) {
    found->second++;
    return;
  }
  if (counts_.size() >= most_words_) forget_rare_words();
  counts_.emplace(word, 1);
}

// By the lowest count that leaves half of the table free: a function of the texts alone.
void BpeTrainer::forget_rare_words() {
  std::vector<uint64_t> counts;
  counts.reserve(counts_.size());
  for (const auto& [word, count] : counts_) counts.push_back(count);
  const auto middle = counts.begin() + static_cast<std::ptrdiff_t>(counts.size() / 2);
  std::nth_element(counts.begin(), middle, counts.end());
  std::erase_if(counts_, [&, most = *middle](const auto& entry) {
    if (entry.second > most) return false;
    n_forgotten_ += entry.second;
    return true;
  });
}

Status BpeTrainer::check_size(uint32_t n_tokens) {
  if (n_tokens < kLeastBpeTokens || n_tokens > kMostBpeTokens)
    return Status::usage(
        fmt::format("a vocabulary of {} tokens", n_tokens),
        fmt::format("ask for {} (bytes alone) to {}", kLeastBpeTokens, kMostBpeTokens));
  return {};
}

Result<Metadata> BpeTrainer::train(uint32_t n_tokens, const Progress& progress) const {
  TRY(check_size(n_tokens));
  Learned learned = start();
  Merging merging;
  for (const auto& [word, count] : counts_) merging.add_word(word, count);
  merging.begin();
  Pair pair;
  while (learned.tokens.size() < n_tokens && merging.best(pair)) {
    if (interrupted()) return Status::interrupted();
    const std::string& left = learned.tokens[left_of(pair)];
    const std::string& right = learned.tokens[right_of(pair)];
    learned.merges.push_back(left + " " + right);
    merging.merge(pair, learned.add(left + right));
    if (progress && learned.merges.size() % kProgressMerges == 0)
      progress("merging", static_cast<double>(learned.tokens.size()) / n_tokens);
  }
  return metadata_of(learned);
}

}  // namespace enxuto
