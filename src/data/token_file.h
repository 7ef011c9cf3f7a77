// Tokens made once from texts, mapped whenever they are trained on. All numbers little-endian:
//
// file: "ENXTOK01" | width u32 (2 or 4 bytes a token) | has_learned u32 (0 or 1) |
//       vocabulary u64 | fingerprint u64 | n_tokens u64 | n_learned u64 |
//       documents, empty, corrupt, bytes, malformed_bytes, skipped_files u64 |
//       32 zeros | n_tokens × width | zeros up to a multiple of 8 |
//       where has_learned: a bit a token, lowest bit first, in bytes up to a multiple of 8; 1: the
//       loss counts on predicting this token. Without them it counts on every token.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/status.h"
#include "platform/file.h"
#include "platform/temporary_file.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// Of a mapped token file, that stay in this process's memory at most.
inline constexpr uint64_t kKeptTokenBytes = uint64_t{3} << 20;

// What became of texts.
struct DataCounts {
  uint64_t documents = 0;
  uint64_t empty = 0;            // files and lines with nothing in them
  uint64_t corrupt = 0;          // lines that were left out
  std::string first_corrupt;     // "FILE:LINE: why"; no file keeps it
  uint64_t bytes = 0;            // read
  uint64_t malformed_bytes = 0;  // of text files: no UTF-8, hence U+FFFD to the tokenizer
  uint64_t skipped_files = 0;    // of folders: no text
  uint64_t tokens = 0;
  uint64_t learned_tokens = 0;  // that the loss counts on
};

// A token file that can be relied on: all of it was checked. Copies share the mapping; threads may
// share a copy.
class TokenFile {
 public:
  // Reads it once, whole. kBadInput where it is no token file, is not whole, or lies.
  static Result<TokenFile> open(const std::string& path);
  // The same over bytes in memory (fuzzing, tests), which must outlive the result.
  static Result<TokenFile> parse(ByteView bytes);

  uint64_t n_tokens() const { return counts_.tokens; }
  uint64_t vocabulary() const { return vocabulary_; }    // every token is below it
  uint64_t fingerprint() const { return fingerprint_; }  // of what it was made from
  const DataCounts& counts() const { return counts_; }

  // Tokens first … first + tokens.size(), which the file has. Pages that were read for long do not
  // stay part of this process's memory.
  void read(uint64_t first, std::span<Token> tokens) const;
  // The same of what is learned: 1 where the loss counts on predicting that token, else 0.
  void read_learned(uint64_t first, std::span<uint8_t> learned) const;

 private:
  static Result<TokenFile> check(ByteView bytes, std::shared_ptr<const MappedFile> mapping);
  Status check_tokens() const;
  Status check_learned() const;
  Token at(uint64_t i) const;
  bool is_learned(uint64_t i) const { return bits_.empty() || (bits_[i / 8] >> i % 8 & 1) != 0; }
  void count_read(uint64_t bytes) const;

  std::shared_ptr<const MappedFile> file_;  // none: bytes in memory
  ByteView tokens_, bits_;
  uint32_t width_ = 2;
  uint64_t vocabulary_ = 0, fingerprint_ = 0;
  DataCounts counts_;
};

// Writes one of any length. It appears under its name, in the place of what was there, when it is
// finished; whatever happens before leaves nothing.
class TokenFileWriter {
 public:
  static Result<TokenFileWriter> create(const std::string& path, uint64_t vocabulary,
                                        uint64_t fingerprint);
  // Appends tokens, all of which the loss counts on, or none.
  Status add(std::span<const Token> tokens, bool learned);
  uint64_t n_tokens() const { return n_tokens_; }
  uint64_t n_learned() const { return n_learned_; }
  // tokens and learned_tokens of `counts` are what was added.
  Status finish(const DataCounts& counts);

 private:
  TokenFileWriter(OutputFile file, std::string path, uint64_t vocabulary, uint64_t fingerprint);
  Status begin_bits();
  Status add_bits(uint64_t n, bool learned);
  Status append_bits();

  OutputFile file_;
  std::string path_;
  uint32_t width_;
  uint64_t vocabulary_, fingerprint_;
  uint64_t n_tokens_ = 0, n_learned_ = 0;
  // Bits wait in a file of their own until the tokens are complete; there is none before the first
  // token that the loss does not count on.
  std::unique_ptr<TemporaryFile> bits_name_;
  std::optional<OutputFile> bits_;
  uint64_t bit_word_ = 0, n_bits_ = 0;
};

}  // namespace enxuto
