// Trains a byte-level BPE as the "gpt2" family has them, pre-tokenizer "smollm" (words with the
// space before them, digits one by one), on texts that come in a stream.
//
// Words are counted in a table of bounded size; when it is full, those that were met least often
// are forgotten. Then the most frequent pair of neighbouring tokens becomes a token, again and
// again; of pairs equally frequent it is the one whose left token, then whose right token, has the
// lowest id. Tokens are <|endoftext|> (control; BOS and EOS; never added by itself), the 256 bytes
// by the code points of the characters that stand for them, then what was merged, in that order:
// Hugging Face's BpeTrainer gives the same ids and merges.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "formats/gguf.h"
#include "tokenizer/pretokenizer.h"

namespace enxuto {

inline constexpr uint32_t kLeastBpeTokens = 257, kMostBpeTokens = 1'000'000;

class BpeTrainer {
 public:
  // Different words that are kept apart at most: bounds the memory, to some 250 MiB by default.
  static constexpr size_t kMostWords = size_t{1} << 19;
  static Result<BpeTrainer> create(size_t most_words = kMostWords);

  // kUsage where no vocabulary has so many tokens.
  static Status check_size(uint32_t n_tokens);

  // Counts the words of a text's next part (any bytes; cut as TextCuts() says).
  void add(std::string_view text);
  uint64_t n_words() const { return n_words_; }  // met, each as often as it was
  // Of those: since the table was full, or because they are too long for words.
  uint64_t n_forgotten() const { return n_forgotten_; }

  // The tokenizer.ggml.* of a model, with n_tokens tokens, or as many as pairs are met twice.
  // kUsage where check_size says so; kInterrupted.
  Result<Metadata> train(uint32_t n_tokens, const Progress& progress) const;

 private:
  explicit BpeTrainer(Pretokenizer pretokenizer, size_t most_words)
      : pretokenizer_(std::move(pretokenizer)), most_words_(most_words) {}
  void count(std::string_view word);
  void forget_rare_words();

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const;
  };
  Pretokenizer pretokenizer_;
  size_t most_words_;
  std::unordered_map<std::string, uint64_t, Hash, std::equal_to<>> counts_;
  std::vector<uint32_t> piece_bytes_;
  uint64_t n_words_ = 0, n_forgotten_ = 0;
};

}  // namespace enxuto
