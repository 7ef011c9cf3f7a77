// Text to token ids and back, exactly as llama.cpp does it for the same file.
//
// Two families, by the file's tokenizer.ggml.model: "gpt2" (byte-level BPE, pre-tokenizers by
// tokenizer.ggml.pre) and "llama" (SentencePiece-like: merges by score, byte fallback). Text may be
// any bytes, valid UTF-8 or not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/gguf.h"

namespace enxuto {

using Token = int32_t;

class Vocabulary;

// The last merge by which a token's own text becomes it. A side is -1 where it is a character that
// is no token, both are where nothing is merged.
struct LastMerge {
  Token left = -1, right = -1;
  bool reached = false;  // false: plain text never becomes this token
};

class Tokenizer {
 public:
  // The metadata's bytes must outlive the tokenizer.
  static Result<std::unique_ptr<Tokenizer>> create(const Metadata& metadata);
  virtual ~Tokenizer() = default;

  // add_special: BOS/EOS as the file asks. parse_special: the text of control tokens becomes those
  // tokens; never say so of text that a user wrote.
  std::vector<Token> encode(std::string_view text, bool add_special, bool parse_special) const {
    return encode_guarded(text, add_special, parse_special, {});
  }
  // The same, where no control token may cover a byte whose place is in `guarded` (ascending).
  virtual std::vector<Token> encode_guarded(std::string_view text, bool add_special,
                                            bool parse_special,
                                            std::span<const size_t> guarded) const = 0;
  // For texts that come in parts (text_cuts.h says where they may be cut): appends the tokens of
  // one part, of plain text only; `first` where nothing stands before it.
  virtual void encode_part(std::string_view text, bool first, std::vector<Token>& out) const = 0;
  // The texts that parse_special makes control tokens of.
  virtual std::vector<std::string_view> control_texts() const = 0;
  // The bytes of one token; pieces of a stream may cut a UTF-8 character. Control tokens are empty
  // unless `special`.
  virtual std::string piece(Token token, bool special = false) const = 0;
  std::string decode(const std::vector<Token>& tokens, bool special = false) const;

  virtual size_t vocabulary_size() const = 0;
  virtual Token bos() const = 0;  // -1 where there is none
  virtual Token eos() const = 0;
  virtual bool adds_bos() const = 0;
  virtual bool ends_generation(Token token) const = 0;  // EOS, EOT, <|im_end|> …
  virtual uint64_t table_bytes() const = 0;             // memory of its tables, for the memory map
  virtual const Metadata& metadata() const = 0;         // that it was made from

  // For those who change the vocabulary (smaller_vocabulary.h).
  virtual const Vocabulary& vocabulary() const = 0;
  virtual std::vector<Token> base_tokens() const = 0;  // what any text can be spelled with
  virtual LastMerge last_merge(Token token) const = 0;

 protected:
  // True where encode() puts a space before the text, which decode() takes away again.
  virtual bool prefixes_space() const = 0;
};

}  // namespace enxuto
