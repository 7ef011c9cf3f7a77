// CSV as it comes, and back.
#include "media/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Rows = std::vector<std::vector<std::string>>;

class Csv : public testing::Test {
 protected:
  Result<Rows> read(const std::string& text) {
    ASSIGN_OR_RETURN(CsvReader reader, CsvReader::open(scratch_.write("in.csv", text)));
    delimiter_ = reader.delimiter();
    Rows rows;
    CsvRow row;
    for (;;) {
      ASSIGN_OR_RETURN(const bool any, reader.next(row));
      if (!any) return rows;
      rows.emplace_back(row.begin(), row.end());
    }
  }
  std::string written(const Rows& rows, char delimiter) {
    auto file = OutputFile::create(scratch_.path("out.csv"), true);
    CsvWriter writer(std::move(*file), delimiter);
    for (const auto& row : rows) EXPECT_TRUE(writer.add(row).ok());
    EXPECT_TRUE(writer.commit().ok());
    return *read_text_file(scratch_.path("out.csv"), 1 << 26);
  }

  ScratchFolder scratch_;
  char delimiter_ = 0;
};

TEST_F(Csv, QuotesLineEndsAndSpaces) {
  const auto rows = read("a,b\r\n\"x, \"\"y\"\"\",\"two\nlines\"\r\n Male,\r\n\nlast, end ");
  ASSERT_TRUE(rows.ok()) << rows.status().what();
  EXPECT_THAT(*rows, ElementsAre(ElementsAre("a", "b"), ElementsAre("x, \"y\"", "two\nlines"),
                                 ElementsAre(" Male", ""), ElementsAre("last", " end ")));
}

TEST_F(Csv, ByteOrderMarkAndDelimiters) {
  EXPECT_THAT(*read("\xEF\xBB\xBFname;size\nx;1,5\n"),
              ElementsAre(ElementsAre("name", "size"), ElementsAre("x", "1,5")));
  EXPECT_EQ(delimiter_, ';');
  EXPECT_THAT(*read("a\tb\n1\t2"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
}

TEST_F(Csv, EmptyFilesHaveNoRows) {
  EXPECT_TRUE(read("")->empty());
  EXPECT_TRUE(read("\n\n")->empty());
}

TEST_F(Csv, RefusesWhatIsNoText) {
  const auto rows =
      read(std::string("\xFF\xFE"
                       "a\0,\0",
                       6));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.status().code(), Code::kBadInput);
  EXPECT_THAT(rows.status().todo(), HasSubstr("UTF-16"));
}

TEST_F(Csv, AQuoteThatNothingClosesEndsInAnError) {
  const auto rows = read("a,b\n1,\"2\n" + std::string(CsvReader::kMostBytes + 100'000, 'x'));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.status().code(), Code::kBadInput);
  EXPECT_THAT(rows.status().todo(), HasSubstr("quote"));
}

TEST_F(Csv, RowsAcrossPieces) {
  std::string text = "number,square\n";
  for (int i = 0; i < 20000; ++i)
    text += std::to_string(i) + ",\"" + std::to_string(i * 2) + "\"\n";
  const auto rows = read(text);
  ASSERT_EQ(rows->size(), 20001u);
  for (int i = 0; i < 20000; ++i)
    ASSERT_THAT((*rows)[static_cast<size_t>(i) + 1],
                ElementsAre(std::to_string(i), std::to_string(i * 2)));
}

TEST_F(Csv, RowsByThemselvesAreThoseOfTheWhole) {
  const std::string long_field(200'000, 'x');
  const std::string text =
      "a;b\r\n\n\"x\n; \"\"y\"\"\";z\n\r\n\"" + long_field + "\n\";2\nlast;\"open";
  Rows rows;
  for (size_t at = 0; at < text.size();) {
    const auto row = first_csv_row(std::string_view(text).substr(at), ';');
    ASSERT_TRUE(row.ok()) << row.status().what();
    rows.push_back(row->fields);
    at += row->bytes;
  }
  EXPECT_EQ(rows, *read(text));
}

TEST_F(Csv, ARowByItselfEndsSomewhere) {
  const std::string open = "1,\"2\n" + std::string(CsvReader::kMostBytes + 100'000, 'x');
  EXPECT_THAT(first_csv_row(open, ',').status().todo(), HasSubstr("quote"));
  for (const char* text : {"a,b\r1,2\r", "a,b\r1,2"})
    EXPECT_THAT(first_csv_row(text, ',').status().todo(), HasSubstr("LF"));
}

TEST_F(Csv, WhatIsWrittenIsReadAgain) {
  const Rows rows = {{"a", "b;c"}, {"\"quoted\"", "line\r\nend"}, {"", ""}, {" x ", "\xE9"}};
  const auto again = read(written(rows, ';'));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, rows);
  EXPECT_EQ(*read(written({{"one"}, {""}, {"x"}}, ',')), (Rows{{"one"}, {""}, {"x"}}));
}

}  // namespace
}  // namespace enxuto
