#include "cli/utf8.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

TEST(TextStream, HoldsBackACutCharacterUntilItIsWhole) {
  TextStream stream({});
  EXPECT_EQ(stream.push("a\xc3"), "a");
  EXPECT_EQ(stream.push("\xa3o \xf0\x9f"), "ão ");
  EXPECT_EQ(stream.push("\x8c"), "");
  EXPECT_EQ(stream.push("\xb1!"), "🌱!");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, MalformedBytesPassAndTheLastCutOneComesAtTheEnd) {
  TextStream stream({});
  EXPECT_EQ(stream.push("\xff\xc3("), "\xff\xc3(");
  EXPECT_EQ(stream.push("x\xe2\x82"), "x");
  EXPECT_EQ(stream.finish(), "\xe2\x82");
}

TEST(TextStream, AStopTextMayBeCutOverPieces) {
  TextStream stream({"END", "\n\n"});
  EXPECT_EQ(stream.push("one E"), "one ");
  EXPECT_EQ(stream.push("N"), "");
  EXPECT_EQ(stream.push("T\n"), "ENT");
  EXPECT_EQ(stream.push("x EN"), "\nx ");
  EXPECT_FALSE(stream.stopped());
  EXPECT_EQ(stream.push("D of it"), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.push("more"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, TheEarliestStopWins) {
  TextStream stream({"later", "so"});
  EXPECT_EQ(stream.push("so and later"), "");
  EXPECT_TRUE(stream.stopped());
}

TEST(Utf8, LengthsFollowTheStandard) {
  EXPECT_EQ(utf8_length_at("a", 0), 1u);
  EXPECT_EQ(utf8_length_at("\xc3\xa3", 0), 2u);
  EXPECT_EQ(utf8_length_at("\xe2\x82\xac", 0), 3u);
  EXPECT_EQ(utf8_length_at("\xc0\x80", 0), 0u) << "overlong";
  EXPECT_EQ(utf8_length_at("\xed\xa0\x80", 0), 0u) << "surrogate";
  EXPECT_EQ(utf8_length_at("\xf4\x90\x80\x80", 0), 0u) << "beyond U+10FFFF";
  EXPECT_TRUE(utf8_cut_at("\xe2\x82", 0));
  EXPECT_FALSE(utf8_cut_at("\xe2(", 0));
}

}  // namespace
}  // namespace enxuto
