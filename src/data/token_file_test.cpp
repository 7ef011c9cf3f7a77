// What is written is read; what lies is refused.
#include "data/token_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <vector>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

std::vector<uint8_t> bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class TokenFileTest : public testing::Test {
 protected:
  // Tokens 0, 1, 2 … of which the loss counts on those between `from` and `to`.
  Status write(uint64_t vocabulary, size_t n, size_t from, size_t to) {
    std::vector<Token> tokens(n);
    std::iota(tokens.begin(), tokens.end(), 0);
    const std::span<const Token> all(tokens);
    ASSIGN_OR_RETURN(TokenFileWriter writer, TokenFileWriter::create(path_, vocabulary, 77));
    TRY(writer.add(all.subspan(0, from), false));
    TRY(writer.add(all.subspan(from, to - from), true));
    TRY(writer.add(all.subspan(to), false));
    DataCounts counts;
    counts.documents = 3, counts.corrupt = 1;
    return writer.finish(counts);
  }
  Code parse_code(const std::vector<uint8_t>& bytes) {
    return TokenFile::parse(bytes).status().code();
  }

  ScratchFolder folder_;
  std::string path_ = folder_.path("tokens");
};

TEST_F(TokenFileTest, ReadsWhatWasWritten) {
  for (const uint64_t vocabulary : {65'536, 65'537})
    for (const size_t n : {1, 63, 64, 65, 10'000})
      for (const auto& [from, to] :
           {std::pair<size_t, size_t>{0, n}, {0, n / 2}, {n / 3, n}, {n / 3, n / 2}}) {
        ASSERT_TRUE(write(vocabulary, n, from, to).ok());
        const auto file = TokenFile::open(path_);
        ASSERT_TRUE(file.ok()) << file.status().what();
        EXPECT_EQ(file->n_tokens(), n);
        EXPECT_EQ(file->vocabulary(), vocabulary);
        EXPECT_EQ(file->fingerprint(), 77u);
        EXPECT_EQ(file->counts().documents, 3u);
        EXPECT_EQ(file->counts().corrupt, 1u);
        EXPECT_EQ(file->counts().learned_tokens, to - from);
        std::vector<Token> tokens(n);
        std::vector<uint8_t> learned(n);
        file->read(0, tokens);
        file->read_learned(0, learned);
        for (size_t i = 0; i < n; i++) {
          ASSERT_EQ(tokens[i], static_cast<Token>(i));
          ASSERT_EQ(learned[i], i >= from && i < to) << i << " of " << n;
        }
        Token last;
        file->read(n - 1, {&last, 1});
        EXPECT_EQ(last, static_cast<Token>(n - 1));
      }
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"tokens"});
}

TEST_F(TokenFileTest, TakesTwoBytesATokenAndABitWhereItMatters) {
  ASSERT_TRUE(write(100, 64, 0, 64).ok());
  EXPECT_EQ(bytes_of_file(path_).size(), 128u + 64 * 2);
  ASSERT_TRUE(write(100'000, 64, 0, 63).ok());
  EXPECT_EQ(bytes_of_file(path_).size(), 128u + 64 * 4 + 8);
}

TEST_F(TokenFileTest, IsNotThereBeforeItIsFinished) {
  {
    auto writer = TokenFileWriter::create(path_, 10, 0);
    ASSERT_TRUE(writer.ok());
    const Token tokens[] = {1, 2, 3};
    ASSERT_TRUE(writer->add(tokens, false).ok());
    EXPECT_FALSE(file_exists(path_));
  }
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(TokenFileTest, RefusesLies) {
  ASSERT_TRUE(write(200, 100, 20, 80).ok());
  const std::vector<uint8_t> sound = bytes_of_file(path_);
  EXPECT_EQ(parse_code(sound), Code::kOk);
  const auto with = [&](size_t place, uint64_t value, size_t n) {
    std::vector<uint8_t> bytes = sound;
    std::memcpy(bytes.data() + place, &value, n);
    return parse_code(bytes);
  };
  EXPECT_EQ(with(0, 'X', 1), Code::kBadInput);  // magic
  EXPECT_EQ(with(7, '2', 1), Code::kBadInput);  // version
  EXPECT_EQ(with(8, 4, 4), Code::kBadInput);    // width, not the vocabulary's
  EXPECT_EQ(with(8, 0, 4), Code::kBadInput);
  EXPECT_EQ(with(12, 2, 4), Code::kBadInput);  // has_learned
  EXPECT_EQ(with(12, 0, 4), Code::kBadInput);  // bits that nobody announced
  EXPECT_EQ(with(16, 0, 8), Code::kBadInput);  // vocabulary
  EXPECT_EQ(with(16, UINT64_MAX, 8), Code::kBadInput);
  EXPECT_EQ(with(16, 99, 8), Code::kBadInput);  // token 99 is beyond it
  for (const uint64_t n : {uint64_t{99}, uint64_t{104}, UINT64_MAX, UINT64_MAX / 2 + 1})
    EXPECT_EQ(with(32, n, 8), Code::kBadInput) << n;            // n_tokens
  EXPECT_EQ(with(40, 61, 8), Code::kBadInput);                  // n_learned
  EXPECT_EQ(with(128, 200, 2), Code::kBadInput);                // a token
  EXPECT_EQ(with(128 + 200, 1, 1), Code::kBadInput);            // a learned bit
  EXPECT_EQ(with(sound.size() - 1, 0x80, 1), Code::kBadInput);  // a bit of no token
  for (const size_t n : {size_t{0}, size_t{7}, size_t{127}, size_t{128}, sound.size() - 1})
    EXPECT_EQ(parse_code({sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(n)}),
              Code::kBadInput);
  const auto status = TokenFile::open(folder_.write("cut", "ENXTOK01")).status();
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_NE(status.what().find("cut"), std::string::npos);
}

}  // namespace
}  // namespace enxuto
