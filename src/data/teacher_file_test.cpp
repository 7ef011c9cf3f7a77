// What is written is read; what lies is refused.
#include "data/teacher_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

constexpr uint64_t kHeaderBytes = 64;

class TeacherFileTest : public testing::Test {
 protected:
  static TeacherShape shape_of(uint64_t vocabulary) { return {vocabulary, 3, 4, 2, 77}; }
  // Row r: tokens r, 100 and the last, with 1/2, 1/4 and 1/8.
  Status write(const TeacherShape& shape, uint64_t rows) {
    ASSIGN_OR_RETURN(TeacherFileWriter writer, TeacherFileWriter::create(path_, shape));
    const float log_2 = std::log(2.0f), log_p[] = {-log_2, -2 * log_2, -3 * log_2, -3 * log_2};
    for (uint64_t row = 0; row < rows; ++row) {
      const Token tokens[] = {static_cast<Token>(row), 100,
                              static_cast<Token>(shape.vocabulary - 1)};
      TRY(writer.add(tokens, log_p));
    }
    return writer.finish();
  }
  std::vector<uint8_t> bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  ScratchFolder folder_;
  std::string path_ = folder_.path("teacher");
};

TEST_F(TeacherFileTest, ReadsWhatWasWritten) {
  for (const uint64_t vocabulary : {65'536, 65'537}) {
    const TeacherShape shape = shape_of(vocabulary);
    ASSERT_TRUE(write(shape, 8).ok());
    const auto file = TeacherFile::open(path_);
    ASSERT_TRUE(file.ok()) << file.status().what();
    EXPECT_EQ(file->shape(), shape);
    EXPECT_EQ(*TeacherFile::file_bytes(shape), bytes().size());
    std::vector<Token> tokens(12);
    std::vector<float> log_p(16);
    file->read(1, {tokens, log_p});
    for (Token t = 0; t < 4; ++t) {
      EXPECT_EQ(tokens[static_cast<size_t>(3 * t)], 4 + t);
      EXPECT_EQ(tokens[static_cast<size_t>(3 * t + 2)], static_cast<Token>(vocabulary - 1));
      EXPECT_NEAR(std::exp(log_p[static_cast<size_t>(4 * t)]), 0.5, 2e-4);
      EXPECT_NEAR(std::exp(log_p[static_cast<size_t>(4 * t + 3)]), 0.125, 2e-4);
    }
  }
}

TEST_F(TeacherFileTest, LeavesNothingWhereItWasNotFinished) {
  {
    const auto writer = TeacherFileWriter::create(path_, shape_of(300));
    ASSERT_TRUE(writer.ok());
  }
  EXPECT_FALSE(file_exists(path_));
}

TEST_F(TeacherFileTest, RefusesWhatLies) {
  ASSERT_TRUE(write(shape_of(300), 8).ok());
  const std::vector<uint8_t> whole = bytes();
  ASSERT_TRUE(TeacherFile::parse(whole).ok());
  const auto code_with = [&](size_t at, uint64_t value, size_t n) {
    std::vector<uint8_t> lie = whole;
    std::memcpy(&lie[at], &value, n);
    return TeacherFile::parse(lie).status().code();
  };
  for (const size_t n : {size_t{0}, size_t{63}, whole.size() - 1})
    EXPECT_EQ(TeacherFile::parse(ByteView(whole).first(n)).status().code(), Code::kBadInput);
  EXPECT_EQ(code_with(0, 'x', 1), Code::kBadInput) << "another magic";
  EXPECT_EQ(code_with(8, 4, 4), Code::kBadInput) << "another width";
  EXPECT_EQ(code_with(12, 301, 4), Code::kBadInput) << "more tokens than there are";
  EXPECT_EQ(code_with(16, 299, 8), Code::kBadInput) << "a token beyond the vocabulary";
  EXPECT_EQ(code_with(32, uint64_t{1} << 61, 8), Code::kBadInput) << "a size that overflows";
  EXPECT_EQ(code_with(40, 3, 8), Code::kBadInput) << "more windows";
  EXPECT_EQ(code_with(48, 1, 1), Code::kBadInput) << "no zero";
  EXPECT_EQ(code_with(kHeaderBytes, 100, 2), Code::kBadInput) << "a token twice";
  EXPECT_EQ(code_with(kHeaderBytes + 6, 0x3c00, 2), Code::kBadInput) << "a probability above 1";
  EXPECT_EQ(code_with(kHeaderBytes + 6, 0x7e00, 2), Code::kBadInput) << "no number";
  EXPECT_EQ(code_with(kHeaderBytes + 6, 0xfbff, 2), Code::kBadInput) << "half of the mass is gone";
}

}  // namespace
}  // namespace enxuto
