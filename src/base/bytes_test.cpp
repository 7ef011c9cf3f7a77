#include "base/bytes.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

TEST(Bytes, ReadsTheUnitsPeopleWrite) {
  EXPECT_EQ(*parse_bytes("105454400"), 105454400u);
  EXPECT_EQ(*parse_bytes("512MiB"), 512 * kMiB);
  EXPECT_EQ(*parse_bytes("700M"), 700 * kMiB);
  EXPECT_EQ(*parse_bytes("1.5GB"), 1500000000u);
  EXPECT_EQ(*parse_bytes("2 GiB"), 2 * kGiB);
  EXPECT_EQ(*parse_bytes("64k"), 64 * kKiB);
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "M", "-5M", "1e5", "5 apples", "5MBB", "nan", "inf", "99999999999TB"})
    EXPECT_EQ(parse_bytes(text).status().code(), Code::kUsage) << text;
}

TEST(Bytes, WritesThreeOrFourDigits) {
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(105454400), "100.6 MiB");
  EXPECT_EQ(format_bytes(kGiB - 1), "1.00 GiB");
  EXPECT_EQ(format_count(105454400), "105,454,400");
  EXPECT_EQ(format_count(999), "999");
}

TEST(Counts, ReadAsPeopleWriteThem) {
  EXPECT_EQ(*parse_count("5M"), 5'000'000u);
  EXPECT_EQ(*parse_count("1.5B"), 1'500'000'000u);
  EXPECT_EQ(*parse_count("300k"), 300'000u);
  EXPECT_EQ(*parse_count("42"), 42u);
  for (const char* wrong : {"", "M", "-1", "5MiB", "5 M", "1e99", "nan"})
    EXPECT_FALSE(parse_count(wrong).ok()) << wrong;
}

}  // namespace
}  // namespace enxuto
