#include "cli/progress_bar.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

TEST(ProgressLine, ShowsShareAndRemainingTime) {
  const std::string line = progress_line("calibrating", 0.25, seconds_left(0.25, 10), 80);
  EXPECT_NE(line.find("calibrating ██████████ "), std::string::npos) << line;
  EXPECT_NE(line.find("25 %  30 s left"), std::string::npos) << line;
}

TEST(ProgressLine, FitsTheTerminal) {
  for (int columns = 5; columns < 120; ++columns)
    for (const double done : {0.0, 0.013, 0.5, 1.0})
      EXPECT_LT(display_width(progress_line("measuring", done, 5000, columns)),
                static_cast<size_t>(columns));
}

TEST(ProgressLine, SaysNothingOfTheTimeBeforeItKnows) {
  EXPECT_EQ(progress_line("writing", 0.001, seconds_left(0.001, 30), 80).find("left"),
            std::string::npos);
}

}  // namespace
}  // namespace enxuto
