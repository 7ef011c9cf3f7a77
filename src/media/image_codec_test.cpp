#include "media/image_codec.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Pictures of 16 x 16: two colours, left and right.
class ImageCodecTest : public testing::Test {
 protected:
  static constexpr uint32_t kPictures = 40;

  void SetUp() override {
    for (uint32_t i = 0; i < kPictures; ++i) {
      const std::string name = fmt::format("{}.png", i);
      ASSERT_TRUE(write_png(picture(i), scratch_.path(name), false).ok());
      captions_ += fmt::format(R"({{"file": "{}", "text": "{} Flag {}"}})"
                               "\n",
                               name, i % 2 ? "red" : "blue", i % 3);
    }
    scratch_.write("captions.jsonl", captions_);
  }
  static Picture picture(uint32_t i) {
    Picture picture = Picture::blank(16, 16, 3);
    for (uint32_t y = 0; y < 16; ++y)
      for (uint32_t x = 0; x < 16; ++x) {
        picture.at(x, y)[0] = i % 2 ? 250 : 10;
        picture.at(x, y)[1] = static_cast<uint8_t>(x < 8 ? 6 * i : 255 - 6 * i);
      }
    return picture;
  }
  std::unique_ptr<ImageCodec> learn() {
    auto codec = ImageCodec::learn({{scratch_.path()}, 0, 1}, {});
    EXPECT_TRUE(codec.ok()) << codec.status().what();
    return std::unique_ptr<ImageCodec>(static_cast<ImageCodec*>(codec->release()));
  }

  ScratchFolder scratch_;
  std::string captions_;
};

TEST_F(ImageCodecTest, PicturesComeBackNearlyAsTheyWere) {
  const auto codec = learn();
  EXPECT_EQ(codec->side(), 16u);
  EXPECT_EQ(codec->n_tokens(), 4u * 4 * 2);
  for (const uint32_t i : {0u, 17u, 39u}) {
    const std::vector<Token> tokens = codec->encode(picture(i));
    EXPECT_EQ(tokens.size(), codec->n_tokens());
    const Picture back = codec->decode(tokens), whole = picture(i);
    for (size_t p = 0; p < back.pixels.size(); ++p)
      EXPECT_NEAR(back.pixels[p], whole.pixels[p], 14) << i;  // as near as another picture is
  }
  EXPECT_GT(codec->psnr(), 25);
}

TEST_F(ImageCodecTest, OpensFromWhatAModelSaysOfIt) {
  const auto codec = learn();
  const auto opened = codec_of(codec->metadata());
  ASSERT_TRUE(opened.ok()) << opened.status().what();
  const auto& other = static_cast<const ImageCodec&>(**opened);
  EXPECT_EQ(other.context(), codec->context());
  EXPECT_EQ(other.prompt("blue flag 2"), codec->prompt("blue flag 2"));
  EXPECT_EQ(other.encode(picture(5)), codec->encode(picture(5)));
  EXPECT_EQ(other.psnr(), static_cast<float>(codec->psnr()));
}

TEST_F(ImageCodecTest, WhatAModelSaysOfItIsChecked) {
  const auto codec = learn();
  for (const auto& [key, value] : codec->metadata().entries()) {
    if (!key.starts_with(kMediaPrefix) || key.ends_with("psnr")) continue;
    Metadata without = codec->metadata();
    without.erase(key);
    EXPECT_EQ(codec_of(without).status().code(), Code::kBadInput) << key;
    Metadata wrong = codec->metadata();
    wrong.set_u32(key, 7);
    EXPECT_EQ(codec_of(wrong).status().code(), Code::kBadInput) << key;
  }
}

TEST_F(ImageCodecTest, PromptsAreAlwaysAsLong) {
  const auto codec = learn();
  const size_t n = codec->context() - codec->n_tokens();
  EXPECT_EQ(codec->prompt("").size(), n);
  EXPECT_EQ(codec->prompt("red flag 1").size(), n);
  EXPECT_EQ(codec->prompt(std::string(10000, 'x')).size(), n);
  EXPECT_EQ(codec->prompt(" RED  flag\n1 "), codec->prompt("red flag 1"));
  EXPECT_NE(codec->prompt("red flag 1"), codec->prompt("blue flag 1"));
  EXPECT_THAT(codec->unknown_words("a Red dragon's flag"), ElementsAre("a", "dragon", "s"));
}

TEST_F(ImageCodecTest, RulesLeaveCodesOfTheirStageUntilThePictureIsWhole) {
  const auto codec = learn();
  const std::vector<Token> tokens = codec->encode(picture(8));
  const auto rules = codec->rules();
  for (const Token token : tokens) {
    EXPECT_TRUE(rules->allowed().contains(token));
    EXPECT_FALSE(rules->allowed().contains(codec->prompt("")[0]));
    rules->accept(token);
  }
  EXPECT_TRUE(rules->allowed().empty());
}

TEST_F(ImageCodecTest, EachPictureIsOneWindow) {
  const auto codec = learn();
  const std::string out = scratch_.path("tokens.bin");
  const auto counts = codec->write_tokens({scratch_.path()}, 7, out, {});
  ASSERT_TRUE(counts.ok()) << counts.status().what();
  EXPECT_EQ(counts->documents, kPictures);
  EXPECT_EQ(counts->corrupt, 0u);
  const auto file = TokenFile::open(out);
  ASSERT_TRUE(file.ok()) << file.status().what();
  EXPECT_EQ(file->fingerprint(), 7u);
  const uint32_t context = codec->context();
  const uint64_t windows = file->n_tokens() / context;
  EXPECT_EQ(file->n_tokens(), windows * context + 1);
  EXPECT_EQ(windows, kPictures + kPictures / 8);  // those without a caption
  EXPECT_EQ(counts->learned_tokens, windows * codec->n_tokens());
  uint64_t untold = 0;
  for (uint64_t i = 0; i < windows; ++i) {
    std::vector<Token> tokens(context - codec->n_tokens());
    file->read(i * context, tokens);
    EXPECT_EQ(tokens[0], codec->prompt("")[0]);
    untold += tokens == codec->prompt("");
  }
  EXPECT_EQ(untold, kPictures / 8);
}

TEST_F(ImageCodecTest, WhatCannotBeUsedIsCountedAndNamed) {
  const auto codec = learn();
  scratch_.write("captions.jsonl", captions_ + "\n{\"file\": \"missing.png\", \"text\": \"a\"}\n" +
                                       "{\"text\": \"no file\"}\nno json\n");
  const auto counts = codec->write_tokens({scratch_.path()}, 0, scratch_.path("t.bin"), {});
  ASSERT_TRUE(counts.ok()) << counts.status().what();
  EXPECT_EQ(counts->documents, kPictures);
  EXPECT_EQ(counts->corrupt, 3u);
  EXPECT_THAT(counts->first_corrupt, HasSubstr(scratch_.path()));
}

TEST_F(ImageCodecTest, ErrorsNameFileAndLine) {
  const ScratchFolder empty;
  EXPECT_THAT(ImageCodec::learn({{empty.path()}, 0, 1}, {}).status().what(),
              HasSubstr("captions.jsonl"));
  empty.write("captions.jsonl", "\n{\"file\": 3}\n");
  const Status status = ImageCodec::learn({{empty.path()}, 0, 1}, {}).status();
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_THAT(status.what(), HasSubstr("captions.jsonl:2: "));
}

}  // namespace
}  // namespace enxuto
