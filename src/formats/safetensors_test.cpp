// A safetensors file of the package is read as it is meant; files that lie are refused by name.
#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/sentencepiece.h"

namespace enxuto {
namespace {

using ::testing::HasSubstr;

ByteView view(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(Safetensors, ReadsWhatThePackageWrote) {
  const auto mapped =
      MappedFile::open(ENXUTO_SOURCE_DIR "/src/formats/testdata/golden.safetensors");
  ASSERT_TRUE(mapped.ok());
  const auto file = parse_safetensors((*mapped)->bytes());
  ASSERT_TRUE(file.ok()) << file.status().what();
  ASSERT_EQ(file->tensors.size(), 4u);
  for (const Tensor& t : file->tensors) {
    if (t.name == "scalar") {
      EXPECT_EQ(t.count(), 1u);
    } else if (t.name == "ids") {
      EXPECT_EQ(t.type, Type::I64);
      EXPECT_EQ(t.columns(), 3u);
    } else {
      EXPECT_EQ(t.type, t.name == "a.half" ? Type::F16 : Type::F32);
      ASSERT_EQ(t.columns(), 4u);
      ASSERT_EQ(t.rows(), 3u);
      float row[4];
      t.codec().decode(t.row(2).data(), row, 4);
      EXPECT_EQ(row[3], 11.0f / 4 - 1);
    }
  }
}

// Eight bytes of header length, the header, then `data` zeros.
std::string file_of(std::string header, size_t data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(data, '\0');
}

std::string one(const std::string& shape, const std::string& offsets,
                const std::string& dtype = "F32") {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Safetensors, LiesAreNamed) {
  alignas(8) static char storage[4096];  // so that tensors are aligned as in a mapped file
  const auto parse = [](const std::string& text) {
    std::copy(text.begin(), text.end(), storage);
    return parse_safetensors({reinterpret_cast<const uint8_t*>(storage), text.size()}).status();
  };
  ASSERT_TRUE(parse(file_of(one("[2,2]", "[0,16]"), 16)).ok());
  const std::string entry = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})",
                    second = R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::pair<const char*, std::string> lies[] = {
      {"not a safetensors file", "short"},
      {"a header of 18446744073709551615 bytes", std::string(16, '\xff')},
      {"not sound JSON", file_of("{\"a\":", 0)},
      {"no JSON object", file_of("[1]", 0)},
      {"tensor a: number format 'F8_E4M3'", file_of(one("[4]", "[0,4]", "F8_E4M3"), 4)},
      {"tensor a: its shape is no list", file_of(one("[1,1,1,1,1]", "[0,4]"), 4)},
      {"tensor a: its shape is no list", file_of(one("7", "[0,4]"), 4)},
      {"tensor a: its shape holds no sound length", file_of(one("[-1]", "[0,4]"), 4)},
      {"tensor a: its shape holds no sound length", file_of(one("[0]", "[0,0]"), 0)},
      {"tensor a: its dimensions overflow", file_of(one("[4294967296,4294967296]", "[0,4]"), 4)},
      {"tensor a: no sound data_offsets", file_of(one("[1]", "[0]"), 4)},
      {"tensor a: its data reaches past the end", file_of(one("[1]", "[0,4]"), 3)},
      {"tensor a: its data reaches past the end", file_of(one("[1]", "[4,0]"), 4)},
      {"tensor a: 8 bytes for a shape that takes 4", file_of(one("[1]", "[0,8]"), 8)},
      {"tensor a overlaps another or leaves a hole", file_of(one("[1]", "[4,8]"), 8)},
      {"overlaps another or leaves a hole", file_of("{" + entry + "," + second + "}", 4)},
      {"tensor a appears twice", file_of("{" + entry + "," + entry + "}", 4)},
      {"bytes behind the last tensor", file_of(one("[1]", "[0,4]"), 8)},
      {"is not aligned", [] {
         std::string text = file_of(one("[1]", "[0,4]"), 0);
         ++text[0];
         return text + " " + std::string(4, '\0');
       }()}};
  for (const auto& [said, bytes] : lies) {
    const Status status = parse(bytes);
    EXPECT_EQ(status.code(), Code::kBadInput) << said;
    EXPECT_THAT(status.what(), HasSubstr(said));
    EXPECT_FALSE(status.todo().empty()) << said;
  }
}

TEST(SentencePiece, ReadsPiecesAndSkipsTheRest) {
  // pieces {text "ab", score 1.5}, {text "<unk>", type 2}; field 2 (trainer_spec) is skipped
  const std::string bytes =
      std::string("\x0a\x09\x0a\x02", 4) + "ab" + std::string("\x15\x00\x00\xc0\x3f", 5) +
      std::string("\x12\x02\x08\x01", 4) + std::string("\x0a\x09\x0a\x05", 4) + "<unk>" +
      std::string("\x18\x02", 2);
  const auto pieces = parse_sentencepiece(view(bytes));
  ASSERT_TRUE(pieces.ok());
  ASSERT_EQ(pieces->size(), 2u);
  EXPECT_EQ((*pieces)[0].text, "ab");
  EXPECT_EQ((*pieces)[0].score, 1.5f);
  EXPECT_EQ((*pieces)[1].text, "<unk>");
  EXPECT_EQ((*pieces)[1].type, 2);
  for (size_t cut : {1, 5, 10, 12, 20})
    EXPECT_EQ(parse_sentencepiece(view(bytes.substr(0, cut))).status().code(), Code::kBadInput);
  EXPECT_FALSE(parse_sentencepiece({}).ok());
}

}  // namespace
}  // namespace enxuto
