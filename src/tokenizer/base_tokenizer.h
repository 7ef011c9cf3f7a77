// What both families share: special tokens around and inside a text, and what tokens are. A family
// adds how plain text becomes tokens, and a token bytes.
#pragma once

#include "tokenizer/special_splitter.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {

class BaseTokenizer : public Tokenizer {
 public:
  std::vector<Token> encode_guarded(std::string_view text, bool add_special, bool parse_special,
                                    std::span<const size_t> guarded) const final;
  void encode_part(std::string_view text, bool first, std::vector<Token>& out) const final;
  std::string piece(Token token, bool special) const final;
  std::vector<std::string_view> control_texts() const final { return splitter_.control_texts(); }

  size_t vocabulary_size() const final { return vocabulary_.size(); }
  Token bos() const final { return vocabulary_.bos; }
  Token eos() const final { return vocabulary_.eos; }
  bool adds_bos() const final { return vocabulary_.add_bos; }
  bool ends_generation(Token token) const final { return vocabulary_.ends_generation(token); }
  const Metadata& metadata() const final { return metadata_; }
  const Vocabulary& vocabulary() const final { return vocabulary_; }

 protected:
  BaseTokenizer(const Metadata& metadata, Vocabulary vocabulary);
  // `after_special`: first, or after a special token.
  virtual void encode_text(std::string_view text, bool after_special,
                           std::vector<Token>& out) const = 0;
  virtual std::string piece_of_text(const std::string& text) const = 0;  // of a normal token

  const Vocabulary vocabulary_;
  const SpecialSplitter splitter_;

 private:
  void encode_fragments(std::string_view text, bool first, bool parse_special,
                        std::span<const size_t> guarded, std::vector<Token>& out) const;
  const Metadata metadata_;
};

Result<std::unique_ptr<Tokenizer>> create_bpe(const Metadata& metadata);
Result<std::unique_ptr<Tokenizer>> create_spm(const Metadata& metadata);

}  // namespace enxuto
