#include "cli/text_input.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

TEST(CheckText, TakesTextInAnyEncodingThatIsMostlyAscii) {
  EXPECT_TRUE(check_text("Olá, açaí", "t").ok());
  EXPECT_TRUE(check_text("Ol\xe1, a\xe7"
                         "a\xed, in Latin-1 with enough plain letters",
                         "t")
                  .ok());
}

TEST(CheckText, RefusesEmptyAndBinary) {
  for (const std::string& text :
       {std::string(), std::string(" \n\t"), std::string("GGUF\0\0", 6), std::string(64, '\xfe')}) {
    const Status status = check_text(text, "notes.txt");
    EXPECT_EQ(status.code(), Code::kBadInput);
    EXPECT_NE(status.what().find("notes.txt"), std::string::npos);
    EXPECT_FALSE(status.todo().empty());
  }
}

}  // namespace
}  // namespace enxuto
