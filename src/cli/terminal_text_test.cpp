#include "cli/terminal_text.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

TEST(Printable, NothingFromAFileDrivesTheTerminal) {
  EXPECT_EQ(printable("ação 🌱"), "ação 🌱");
  EXPECT_EQ(printable("\033[2J"), "\uFFFD[2J");
  EXPECT_EQ(printable("a\nb\x7f"), "a\uFFFDb\uFFFD");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\uFFFD31m")
      << "C1 control sequence introducer";
  EXPECT_EQ(printable("\xff"
                      "a\xe2\x82"),
            "\uFFFDa\uFFFD\uFFFD");
}

TEST(DisplayWidth, CountsCharactersAndNoEscapes) {
  EXPECT_EQ(display_width("ação"), 4u);
  EXPECT_EQ(display_width("\033[1mbold\033[0m!"), 5u);
  EXPECT_EQ(display_width("\033[1"), 0u);
}

TEST(Bar, FillsItsShare) {
  EXPECT_EQ(bar(0, 4), "");
  EXPECT_EQ(bar(0.5, 4), "██");
  EXPECT_EQ(bar(1.5, 4), "████");
  EXPECT_EQ(bar(0.125, 1), "▏");
}

TEST(Table, LinesUpAndCutsTrailingSpace) {
  Table table({"part", ">bytes"});
  table.add({"ação", "1"});
  table.add({"x", "1,000"});
  testing::internal::CaptureStdout();
  table.print(Paint(Stream::kOutput));
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "part  bytes\n"
            "ação      1\n"
            "x     1,000\n");
}

}  // namespace
}  // namespace enxuto
