// What an ImageCodec is made from, and the token file that a model learns from.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "data/shuffled_order.h"
#include "media/caption_list.h"
#include "media/caption_words.h"
#include "media/image_codec.h"
#include "platform/interrupt.h"
#include "tokenizer/bpe_training.h"

namespace enxuto {
namespace {

constexpr uint32_t kMostAutoSide = 32;
constexpr size_t kLooked = 64;   // pictures whose size and colour tell those of all
constexpr size_t kHeldOut = 64;  // that the quantizer is measured on
constexpr size_t kMostPatches = 1 << 16;
constexpr uint32_t kCodesOfStage = 512;
constexpr uint32_t kBpeTokens = 768, kMostCaptionTokens = 24;
constexpr size_t kMostWords = 1 << 16;
constexpr uint64_t kUntoldEvery = 8;

// Pictures of a list in a shuffled order; those that cannot be read are passed over.
class Sample {
 public:
  Sample(const CaptionList& list, uint64_t seed) : list_(list), order_(list.size(), seed) {}
  // False at the end.
  Result<bool> next(Picture& picture) {
    while (at_ < list_.size()) {
      if (interrupted()) return Status::interrupted();
      const Result<Caption> caption = list_.at(order_[at_++]);
      Result<Picture> read =
          caption.ok() ? read_png(caption->file) : Result<Picture>(caption.status());
      if (first_.ok()) first_ = read.status();
      if (!read.ok()) continue;
      picture = std::move(*read);
      return true;
    }
    return false;
  }
  void again() { at_ = 0; }
  const Status& first_error() const { return first_; }

 private:
  const CaptionList& list_;
  ShuffledOrder order_;
  uint64_t at_ = 0;
  Status first_;
};

struct Looks {
  uint32_t side = kMostAutoSide, channels = 1;
};

// Their own size where all have the same one, and are small; else kMostAutoSide.
Result<Looks> look_at(Sample& sample) {
  Looks looks;
  Picture picture;
  std::set<uint32_t> sides;
  for (size_t i = 0; i < kLooked; ++i) {
    ASSIGN_OR_RETURN(const bool any, sample.next(picture));
    if (!any) break;
    sides.insert({picture.width, picture.height});
    if (!is_grey(picture)) looks.channels = 3;
  }
  if (sides.empty()) return sample.first_error();
  if (sides.size() == 1 && *sides.begin() < kMostAutoSide)
    looks.side = std::max(kPatch, *sides.begin() / kPatch * kPatch);
  sample.again();
  return looks;
}

struct Captions {
  Metadata text;
  uint32_t most_tokens = 1;
  std::vector<std::string> words;
};

// body(caption) of all that can be read
template <class Body>
Status for_captions(const CaptionList& list, const Body& body) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (interrupted()) return Status::interrupted();
    const Result<Caption> caption = list.at(i);
    if (caption.ok()) body(plain_caption(caption->text));
  }
  return {};
}

Result<Captions> read_captions(const CaptionList& list) {
  Captions captions;
  ASSIGN_OR_RETURN(BpeTrainer trainer, BpeTrainer::create(kMostWords));
  std::set<std::string> words;
  TRY(for_captions(list, [&](const std::string& text) {
    trainer.add(text);
    for (std::string& word : caption_words(text))
      if (words.size() < kMostWords) words.insert(std::move(word));
  }));
  ASSIGN_OR_RETURN(captions.text, trainer.train(kBpeTokens, {}));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(captions.text));
  TRY(for_captions(list, [&](const std::string& text) {
    const size_t n = tokenizer->encode(text, false, false).size();
    captions.most_tokens = std::max(captions.most_tokens,
                                    static_cast<uint32_t>(std::min<size_t>(n, kMostCaptionTokens)));
  }));
  captions.words.assign(words.begin(), words.end());
  return captions;
}

// Documents into a token file.
class PictureWriter {
 public:
  PictureWriter(const ImageCodec& codec, TokenFileWriter out)
      : codec_(codec), out_(std::move(out)) {}

  Status add(const CaptionList& list, size_t i) {
    const Result<Caption> caption = list.at(i);
    if (!caption.ok()) return leave_out(caption.status());
    const Result<Picture> picture = read_png(caption->file);
    if (!picture.ok()) return leave_out(picture.status());
    counts_.bytes += picture->pixels.size();
    const std::vector<Token> codes = codec_.encode(*picture);
    TRY(add_document(caption->text, codes));
    return counts_.documents++ % kUntoldEvery == 0 ? add_document("", codes) : Status();
  }

  // A window of training has one token more than it learns.
  Result<DataCounts> finish() {
    if (counts_.documents == 0)
      return Status::bad_input("no picture can be used: " + counts_.first_corrupt);
    const Token last = codec_.prompt("")[0];
    TRY(out_.add({&last, 1}, false));
    counts_.tokens = out_.n_tokens(), counts_.learned_tokens = out_.n_learned();
    TRY(out_.finish(counts_));
    return counts_;
  }

 private:
  Status add_document(std::string_view caption, const std::vector<Token>& codes) {
    TRY(out_.add(codec_.prompt(caption), false));
    return out_.add(codes, true);
  }

  Status leave_out(const Status& why) {
    if (why.code() == Code::kInterrupted) return why;
    if (counts_.corrupt++ == 0) counts_.first_corrupt = why.what();
    return {};
  }

  const ImageCodec& codec_;
  TokenFileWriter out_;
  DataCounts counts_;
};

// Patches to learn from; the first pictures, a tenth at most, are held out.
Result<std::vector<float>> take(Sample& sample, const Looks& looks, size_t n_listed,
                                std::vector<Picture>& held_out) {
  const size_t values = size_t{looks.side} * looks.side * looks.channels;
  const size_t most = kMostPatches * kPatch * kPatch * looks.channels / values;
  const size_t measured = std::min(kHeldOut, n_listed / 10);
  std::vector<float> patches;
  Picture picture;
  for (size_t i = 0; i < measured + most; ++i) {
    ASSIGN_OR_RETURN(const bool any, sample.next(picture));
    if (!any) break;
    picture = squared(picture, looks.side, looks.channels);
    if (i < measured) {
      held_out.push_back(picture);
      continue;
    }
    const std::vector<float> own = patches_of(picture);
    patches.insert(patches.end(), own.begin(), own.end());
  }
  if (patches.empty()) return Status::bad_input("too few pictures can be read to learn from");
  return patches;
}

}  // namespace

Result<std::unique_ptr<MediaCodec>> ImageCodec::learn(const CodecRequest& request,
                                                      const Progress& progress) {
  ASSIGN_OR_RETURN(const CaptionList list, CaptionList::open(request.paths));
  Sample sample(list, request.seed);
  ASSIGN_OR_RETURN(const Looks looks, look_at(sample));
  ASSIGN_OR_RETURN(Captions captions, read_captions(list));
  std::vector<Picture> held_out;
  ASSIGN_OR_RETURN(const std::vector<float> patches, take(sample, looks, list.size(), held_out));
  const uint32_t dimensions = kPatch * kPatch * looks.channels;
  ASSIGN_OR_RETURN(VectorQuantizer quantizer,
                   VectorQuantizer::learn(patches, dimensions, kCodesOfStage,
                                          looks.channels == 1 ? 1 : 2, request.seed, progress));
  std::unique_ptr<ImageCodec> codec(
      new ImageCodec({looks.side, looks.channels, captions.most_tokens}, std::move(quantizer)));
  codec->words_ = std::move(captions.words);
  codec->measure(held_out);
  TRY(codec->name_tokens(std::move(captions.text)));
  return std::unique_ptr<MediaCodec>(std::move(codec));
}

void ImageCodec::measure(std::span<const Picture> pictures) {
  double squares = 0, n = 0;
  for (const Picture& picture : pictures) {
    const Picture back = decode(encode(picture));
    for (size_t i = 0; i < back.pixels.size(); ++i) {
      const double off = static_cast<double>(back.pixels[i]) - picture.pixels[i];
      squares += off * off, n++;
    }
  }
  constexpr double kMostPsnr = 99;
  psnr_ = n == 0 ? 0 : squares == 0 ? kMostPsnr : 10 * std::log10(255.0 * 255 * n / squares);
}

Result<DataCounts> ImageCodec::write_tokens(const std::vector<std::string>& paths,
                                            uint64_t fingerprint, const std::string& out,
                                            const Progress& progress) const {
  ASSIGN_OR_RETURN(const CaptionList list, CaptionList::open(paths));
  ASSIGN_OR_RETURN(TokenFileWriter writer,
                   TokenFileWriter::create(out, tokenizer_->vocabulary_size(), fingerprint));
  PictureWriter pictures(*this, std::move(writer));
  const ShuffledOrder order(list.size(), /*seed=*/1);
  for (size_t i = 0; i < list.size(); ++i) {
    if (interrupted()) return Status::interrupted();
    TRY(pictures.add(list, order[i]));
    if (progress && i % 256 == 0)
      progress("coding pictures", static_cast<double>(i) / static_cast<double>(list.size()));
  }
  return pictures.finish();
}

}  // namespace enxuto
