// Pictures with captions as tokens. A picture is a square of patches, 4 x 4 pixels each, coded by
// residual vector quantization (vector_quantizer.h); what it shows comes first, in a BPE made of
// the captions.
//
//   <|endoftext|> caption … <pad> … <picture> patch by patch, of each patch stage by stage
//
// as many tokens for each picture, so that a code has its position. The loss counts on the codes
// alone. Every eighth picture comes a second time without its caption: for guidance
// (ruled_generation.h).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "media/codec.h"
#include "media/picture.h"
#include "media/vector_quantizer.h"
#include "tokenizer/token_rules.h"

namespace enxuto {

inline constexpr uint32_t kPatch = 4;  // pixels of its side
// (patches, kPatch, kPatch, channels), in [-1, 1]. The picture's sides are multiples of kPatch.
std::vector<float> patches_of(const Picture& picture);

class ImageCodec : public MediaCodec {
 public:
  static Result<std::unique_ptr<MediaCodec>> learn(const CodecRequest& request,
                                                   const Progress& progress);
  static Result<std::unique_ptr<MediaCodec>> open(const Metadata& metadata);

  const Metadata& metadata() const override { return metadata_; }
  uint32_t context() const override;
  std::vector<CodecFact> facts() const override;
  Result<DataCounts> write_tokens(const std::vector<std::string>& paths, uint64_t fingerprint,
                                  const std::string& out, const Progress& progress) const override;

  // What a model is told before it makes a picture. Words beyond the room for captions are left
  // out; an empty one says nothing of the picture.
  std::vector<Token> prompt(std::string_view caption) const;
  // Words of a caption that no caption of the training had.
  std::vector<std::string> unknown_words(std::string_view caption) const;
  std::vector<Token> encode(const Picture& picture) const;
  // tokens: n_tokens() codes, as rules() allow them.
  Picture decode(std::span<const Token> tokens) const;
  std::unique_ptr<TokenRules> rules() const;

  uint32_t n_tokens() const;         // of a picture
  double bytes_per_picture() const;  // of its codes, at their bits
  uint32_t side() const { return shape_.side; }
  // Of pictures that codebooks were not made from, in dB; 0: there were none.
  double psnr() const { return psnr_; }

 private:
  struct Shape {
    uint32_t side = 0, channels = 0;
    uint32_t caption_tokens = 0;  // room for them
  };
  ImageCodec(const Shape& shape, VectorQuantizer quantizer)
      : shape_(shape), quantizer_(std::move(quantizer)) {}
  Status name_tokens(Metadata text);
  Status read_tokens(const Metadata& metadata);
  void measure(std::span<const Picture> pictures);

  Shape shape_;
  VectorQuantizer quantizer_;
  double psnr_ = 0;
  Metadata metadata_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::string> words_;  // of captions, sorted
  Token pad_ = 0, picture_ = 0, first_code_ = 0;
};

}  // namespace enxuto
