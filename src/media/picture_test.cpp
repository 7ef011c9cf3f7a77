#include "media/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string test_file(const std::string& name) {
  return ENXUTO_SOURCE_DIR "/src/media/testdata/" + name;
}

Picture gradient(uint32_t width, uint32_t height, uint32_t channels) {
  Picture picture = Picture::blank(width, height, channels);
  for (size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] = static_cast<uint8_t>(i * 7);
  return picture;
}

TEST(PictureFile, ComesBackAsItWasWritten) {
  const ScratchFolder scratch;
  for (const uint32_t channels : {1u, 3u}) {
    const Picture picture = gradient(13, 7, channels);
    ASSERT_TRUE(write_png(picture, scratch.path("a.png"), true).ok());
    const auto back = read_png(scratch.path("a.png"));
    ASSERT_TRUE(back.ok()) << back.status().what();
    EXPECT_EQ(is_grey(*back), channels == 1);
    EXPECT_EQ(squared(*back, 13, channels).pixels, squared(picture, 13, channels).pixels);
  }
}

// A file of another writer; half of the blue is seen through, which libpng weighs by light.
TEST(PictureFile, ShowsWhiteThroughWhatIsTransparent) {
  const auto picture = read_png(test_file("alpha.png"));
  ASSERT_TRUE(picture.ok()) << picture.status().what();
  const uint8_t* half = picture->at(0, 1);
  EXPECT_THAT(std::vector(picture->at(0, 0), picture->at(0, 0) + 6),
              ElementsAre(255, 0, 0, 255, 255, 255));
  EXPECT_GT(half[0], 120);
  EXPECT_LT(half[0], 200);
  EXPECT_EQ(half[2], 255);
  EXPECT_THAT(std::vector(picture->at(1, 1), picture->at(1, 1) + 3), ElementsAre(0, 0, 0));
}

TEST(PictureFile, RefusesWhatIsTooLargeBeforeItIsDecoded) {
  const auto picture = read_png(test_file("bomb.png"));
  EXPECT_EQ(picture.status().code(), Code::kBadInput);
  EXPECT_THAT(picture.status().what(), HasSubstr("bomb.png"));
}

TEST(PictureFile, IsRefusedWhereverItIsCut) {
  const ScratchFolder scratch;
  ASSERT_TRUE(write_png(gradient(5, 5, 3), scratch.path("a.png"), false).ok());
  const std::string whole = *read_text_file(scratch.path("a.png"), 1 << 20);
  const auto* bytes = reinterpret_cast<const uint8_t*>(whole.data());
  size_t refused = 0;
  for (size_t n = 0; n < whole.size(); ++n) refused += !parse_png({bytes, n}).ok();
  EXPECT_GE(refused, whole.size() - 12);  // what ends it may be missing
}

TEST(Squared, TakesTheMeanOfThePixelsItCovers) {
  Picture picture = Picture::blank(4, 4, 1);
  picture.pixels = {0, 10, 20, 30, 10, 20, 30, 40, 100, 100, 0, 0, 100, 100, 0, 0};
  EXPECT_THAT(squared(picture, 2, 1).pixels, ElementsAre(10, 30, 100, 0));
}

TEST(Squared, PutsWhatIsNotSquareInTheMiddleOfWhite) {
  Picture picture = Picture::blank(2, 4, 1);
  picture.pixels.assign(8, 0);
  EXPECT_THAT(squared(picture, 4, 1).pixels,
              ElementsAre(255, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255, 255, 0, 0, 255));
}

TEST(ContactSheet, HasAPlaceForEach) {
  std::vector<Picture> pictures(5, Picture::blank(3, 3, 1));
  for (size_t i = 0; i < pictures.size(); ++i)
    pictures[i].pixels.assign(9, static_cast<uint8_t>(10 * i));
  const Picture sheet = contact_sheet(pictures);
  EXPECT_EQ(sheet.width, 13u);
  EXPECT_EQ(sheet.height, 8u);
  EXPECT_EQ(*sheet.at(0, 0), 0);
  EXPECT_EQ(*sheet.at(10, 2), 20);
  EXPECT_EQ(*sheet.at(7, 7), 40);
  EXPECT_EQ(*sheet.at(12, 7), 255);
}

}  // namespace
}  // namespace enxuto
