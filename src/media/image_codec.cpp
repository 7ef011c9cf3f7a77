#include "media/image_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "media/caption_words.h"
#include "media/media_vocabulary.h"

namespace enxuto {
namespace {

constexpr uint32_t kMostSide = 64, kMostCodes = 1 << 16, kMostCaption = 256;
constexpr const char* kSide = "enxuto.media.image.side";
constexpr const char* kChannels = "enxuto.media.image.channels";
constexpr const char* kCodes = "enxuto.media.image.codes";
constexpr const char* kCaption = "enxuto.media.image.caption_tokens";
constexpr const char* kCodebooks = "enxuto.media.image.codebooks";
constexpr const char* kWords = "enxuto.media.image.words";
constexpr const char* kPsnr = "enxuto.media.image.psnr";

Status lies(const std::string& key) {
  return Status::bad_input(fmt::format("{} is missing or not sound", key),
                           "the file says it makes pictures, and not how; train it again");
}

Result<uint32_t> number_at(const Metadata& metadata, const char* key, uint64_t most) {
  const auto number = metadata.unsigned_at(key);
  if (!number || *number == 0 || *number > most) return lies(key);
  return static_cast<uint32_t>(*number);
}

// Codes of each stage in turn, until the picture is whole.
class ImageRules : public TokenRules {
 public:
  ImageRules(size_t vocabulary, Token first, const VectorQuantizer& quantizer, uint32_t n_tokens)
      : first_(first),
        n_codes_(static_cast<Token>(quantizer.n_codes())),
        n_stages_(quantizer.n_stages()),
        n_tokens_(n_tokens),
        set_(vocabulary) {}
  const TokenSet& allowed() override {
    set_.clear();
    if (at_ == n_tokens_) return set_;
    const Token first = first_ + static_cast<Token>(at_ % n_stages_) * n_codes_;
    set_.add(first, first + n_codes_);
    return set_;
  }
  void accept(Token) override { ++at_; }

 private:
  Token first_, n_codes_;
  uint32_t n_stages_, n_tokens_, at_ = 0;
  TokenSet set_;
};

}  // namespace

Status ImageCodec::name_tokens(Metadata text) {
  std::vector<std::string> names = {"<pad>", "<picture>"};
  for (uint32_t stage = 0; stage < quantizer_.n_stages(); ++stage)
    for (uint32_t code = 0; code < quantizer_.n_codes(); ++code)
      names.push_back(fmt::format("<code {}.{}>", stage, code));
  append_tokens(text, names);
  text.set_string(kMediaKind, "image");
  text.set_u32(kSide, shape_.side);
  text.set_u32(kChannels, shape_.channels);
  text.set_u32(kCodes, quantizer_.n_codes());
  text.set_u32(kCaption, shape_.caption_tokens);
  text.set_f32s(kCodebooks, quantizer_.codebooks());
  text.set_strings(kWords, {words_.begin(), words_.end()});
  text.set_f32(kPsnr, static_cast<float>(psnr_));
  text.set_u32(kMediaContext, context());
  return read_tokens(text);
}

// The codes are the last tokens.
Status ImageCodec::read_tokens(const Metadata& metadata) {
  metadata_ = metadata;
  ASSIGN_OR_RETURN(tokenizer_, Tokenizer::create(metadata_));
  const uint64_t own = 2 + uint64_t{quantizer_.n_stages()} * quantizer_.n_codes();
  if (tokenizer_->vocabulary_size() <= own || tokenizer_->eos() < 0)
    return lies("tokenizer.ggml.tokens");
  pad_ = static_cast<Token>(tokenizer_->vocabulary_size() - own);
  picture_ = pad_ + 1, first_code_ = pad_ + 2;
  return tokenizer_->eos() < pad_ ? Status() : lies("tokenizer.ggml.eos_token_id");
}

Result<std::unique_ptr<MediaCodec>> ImageCodec::open(const Metadata& metadata) {
  Shape shape;
  ASSIGN_OR_RETURN(shape.side, number_at(metadata, kSide, kMostSide));
  ASSIGN_OR_RETURN(shape.channels, number_at(metadata, kChannels, 3));
  ASSIGN_OR_RETURN(shape.caption_tokens, number_at(metadata, kCaption, kMostCaption));
  ASSIGN_OR_RETURN(const uint32_t n_codes, number_at(metadata, kCodes, kMostCodes));
  if (shape.side % kPatch != 0) return lies(kSide);
  if (shape.channels == 2) return lies(kChannels);
  const MetaValue* books = metadata.find(kCodebooks);
  const auto numbers = books ? books->as_numbers() : std::nullopt;
  if (!numbers) return lies(kCodebooks);
  auto quantizer = VectorQuantizer::of({numbers->begin(), numbers->end()},
                                       kPatch * kPatch * shape.channels, n_codes);
  if (!quantizer.ok())
    return quantizer.status().code() == Code::kBadInput ? lies(kCodebooks) : quantizer.status();
  std::unique_ptr<ImageCodec> codec(new ImageCodec(shape, std::move(*quantizer)));
  const MetaValue* words = metadata.find(kWords);
  const auto texts = words ? words->as_strings() : std::nullopt;
  if (!texts) return lies(kWords);
  codec->words_.assign(texts->begin(), texts->end());
  codec->psnr_ = metadata.number_at(kPsnr).value_or(0);
  TRY(codec->read_tokens(metadata));
  if (metadata.unsigned_at(kMediaContext) != codec->context()) return lies(kMediaContext);
  return std::unique_ptr<MediaCodec>(std::move(codec));
}

uint32_t ImageCodec::n_tokens() const {
  return shape_.side / kPatch * (shape_.side / kPatch) * quantizer_.n_stages();
}

uint32_t ImageCodec::context() const { return 2 + shape_.caption_tokens + n_tokens(); }

std::vector<CodecFact> ImageCodec::facts() const {
  return {{"side", 1.0 * shape_.side},
          {"channels", 1.0 * shape_.channels},
          {"tokens_per_picture", 1.0 * n_tokens()},
          {"bytes_per_picture", bytes_per_picture()},
          {"psnr", psnr_}};
}

double ImageCodec::bytes_per_picture() const {
  return n_tokens() * std::log2(quantizer_.n_codes()) / 8;
}

std::vector<Token> ImageCodec::prompt(std::string_view caption) const {
  const std::string plain = plain_caption(caption);
  std::vector<Token> tokens = {tokenizer_->eos()};
  const std::vector<Token> words = tokenizer_->encode(plain, false, false);
  tokens.insert(tokens.end(), words.begin(),
                words.begin() + std::min<size_t>(words.size(), shape_.caption_tokens));
  tokens.resize(1 + shape_.caption_tokens, pad_);
  tokens.push_back(picture_);
  return tokens;
}

std::vector<std::string> ImageCodec::unknown_words(std::string_view caption) const {
  std::vector<std::string> words = caption_words(caption);
  std::erase_if(words,
                [&](const std::string& word) { return std::ranges::binary_search(words_, word); });
  return words;
}

std::vector<float> patches_of(const Picture& picture) {
  std::vector<float> values;
  values.reserve(picture.pixels.size());
  const uint32_t run = kPatch * picture.channels;
  for (uint32_t y = 0; y < picture.height; y += kPatch)
    for (uint32_t x = 0; x < picture.width; x += kPatch)
      for (uint32_t row = 0; row < kPatch; ++row)
        for (const uint8_t *p = picture.at(x, y + row), *end = p + run; p < end; ++p)
          values.push_back(static_cast<float>(*p) / 127.5f - 1);
  return values;
}

std::vector<Token> ImageCodec::encode(const Picture& picture) const {
  const std::vector<float> patches = patches_of(squared(picture, shape_.side, shape_.channels));
  std::vector<uint32_t> codes(n_tokens());
  quantizer_.encode(patches, codes);
  std::vector<Token> tokens(codes.size());
  for (size_t i = 0; i < codes.size(); ++i)
    tokens[i] = first_code_ +
                static_cast<Token>(i % quantizer_.n_stages() * quantizer_.n_codes() + codes[i]);
  return tokens;
}

Picture ImageCodec::decode(std::span<const Token> tokens) const {
  std::vector<uint32_t> codes(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i)
    codes[i] = static_cast<uint32_t>(tokens[i] - first_code_) % quantizer_.n_codes();
  Picture picture = Picture::blank(shape_.side, shape_.side, shape_.channels);
  std::vector<float> values(picture.pixels.size());
  quantizer_.decode(codes, values);
  const float* value = values.data();
  const uint32_t run = kPatch * picture.channels;
  for (uint32_t y = 0; y < picture.height; y += kPatch)
    for (uint32_t x = 0; x < picture.width; x += kPatch)
      for (uint32_t row = 0; row < kPatch; ++row)
        for (uint8_t *p = picture.at(x, y + row), *end = p + run; p < end; ++p)
          *p = static_cast<uint8_t>(std::clamp(std::round((*value++ + 1) * 127.5f), 0.f, 255.f));
  return picture;
}

std::unique_ptr<TokenRules> ImageCodec::rules() const {
  return std::make_unique<ImageRules>(tokenizer_->vocabulary_size(), first_code_, quantizer_,
                                      n_tokens());
}

}  // namespace enxuto
