// GGUF files of the `gguf` package are read as they are meant and written again bit by bit.
#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace enxuto {
namespace {

const std::string kTestdata = ENXUTO_SOURCE_DIR "/src/formats/testdata/";

std::string bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string temporary(const std::string& name) {
  return ::testing::TempDir() + "enxuto-" + std::to_string(::getpid()) + "-" + name;
}

Status write_again(const GgufFile& file, const std::string& path) {
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, true));
  GgufWriter writer(out, file.metadata);
  for (const Tensor& t : file.tensors)
    TRY(writer.add(t.name, t.type, std::span(t.shape, t.n_dims)));
  const uint64_t promised = writer.file_bytes();
  TRY(writer.begin());
  for (const Tensor& t : file.tensors)  // in odd pieces
    for (size_t at = 0; at < t.data.size(); at += 7)
      TRY(writer.write(t.data.subspan(at, std::min<size_t>(7, t.data.size() - at))));
  TRY(writer.finish());
  EXPECT_EQ(out.size(), promised);
  return out.commit();
}

void expect_golden_content(const GgufFile& file) {
  const Metadata& m = file.metadata;
  EXPECT_EQ(m.string_at("general.architecture"), "llama");
  EXPECT_EQ(m.string_at("general.name"), "golden é");
  EXPECT_EQ(m.unsigned_at("t.u8"), 200u);
  EXPECT_EQ(m.number_at("t.i8"), -100.0);
  EXPECT_EQ(m.unsigned_at("t.i8"), std::nullopt);
  EXPECT_EQ(m.unsigned_at("t.u16"), 60000u);
  EXPECT_EQ(m.number_at("t.i16"), -30000.0);
  EXPECT_EQ(m.unsigned_at("t.u32"), 4000000000u);
  EXPECT_EQ(m.number_at("t.i32"), -2000000000.0);
  EXPECT_EQ(m.number_at("t.f32"), 1.5);
  EXPECT_EQ(m.bool_at("t.bool"), true);
  EXPECT_EQ(m.unsigned_at("t.u64"), uint64_t{1} << 63);
  EXPECT_EQ(m.number_at("t.u64"), 0x1p63);
  EXPECT_EQ(m.number_at("t.i64"), -0x1p62);
  EXPECT_EQ(m.number_at("t.f64"), 0.1);
  EXPECT_EQ(m.find("t.words")->as_strings(), (std::vector<std::string_view>{"one", "", "três"}));
  EXPECT_EQ(m.find("t.numbers")->as_numbers(), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(m.find("t.scores")->as_numbers(), (std::vector<double>{0.5, -1.5}));
  EXPECT_EQ(m.find("t.flags")->as_numbers(), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(m.find("t.flags")->as_strings(), std::nullopt);
  EXPECT_EQ(m.string_at("t.bool"), std::nullopt);

  ASSERT_EQ(file.tensors.size(), 4u);
  const Tensor& first = file.tensors[0];
  EXPECT_EQ(first.name, "first.weight");
  EXPECT_EQ(first.columns(), 32u);
  EXPECT_EQ(first.rows(), 3u);
  for (const Tensor& t : file.tensors) {
    if (t.name == "odd.bias") continue;
    std::vector<float> row(32);
    for (uint64_t r = 0; r < 3; ++r) {
      t.codec().decode(t.row(r).data(), row.data(), 32);
      for (uint64_t c = 0; c < 32; ++c)
        EXPECT_NEAR(row[c], static_cast<float>(r * 32 + c) / 7 - 5, 0.04) << t.name;
    }
  }
  EXPECT_EQ(file.find("odd.bias")->count(), 5u);
  EXPECT_EQ(file.find("even.bias"), nullptr);
}

TEST(Gguf, ReadsWhatTheGgufPackageWrote) {
  for (const char* name : {"golden.gguf", "golden-v2.gguf", "golden-aligned-64.gguf",
                           "golden-split-00001-of-00002.gguf"}) {
    SCOPED_TRACE(name);
    const auto file = open_gguf(kTestdata + name);
    ASSERT_TRUE(file.ok()) << file.status().what();
    expect_golden_content(*file);
  }
}

TEST(Gguf, WritesItAgainBitByBit) {
  for (const char* name : {"golden.gguf", "golden-aligned-64.gguf"}) {
    SCOPED_TRACE(name);
    const auto file = open_gguf(kTestdata + name);
    ASSERT_TRUE(file.ok());
    const std::string copy = temporary(name);
    const Status status = write_again(*file, copy);
    ASSERT_TRUE(status.ok()) << status.what();
    EXPECT_EQ(bytes_of_file(copy), bytes_of_file(kTestdata + name));
    std::filesystem::remove(copy);
  }
}

TEST(Gguf, JoinsSplitFiles) {
  const auto file = open_gguf(kTestdata + "golden-split-00001-of-00002.gguf");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->files.size(), 2u);
  EXPECT_EQ(file->file_bytes, file->files[0]->bytes().size() + file->files[1]->bytes().size());
  for (const char* key : {"split.no", "split.count", "split.tensors.count"})
    EXPECT_EQ(file->metadata.find(key), nullptr);
}

TEST(Gguf, SaysWhatIsWrongWithAPart) {
  const auto second = open_gguf(kTestdata + "golden-split-00002-of-00002.gguf");
  EXPECT_EQ(second.status().code(), Code::kBadInput);
  EXPECT_EQ(second.status().todo(), "open the first part");

  const std::string folder = temporary("parts");
  std::filesystem::create_directory(folder);
  const std::string lonely = folder + "/golden-split-00001-of-00002.gguf",
                    sibling = folder + "/golden-split-00002-of-00002.gguf",
                    nameless = folder + "/golden.gguf";
  for (const std::string& path : {lonely, nameless})
    std::filesystem::copy(kTestdata + "golden-split-00001-of-00002.gguf", path);
  EXPECT_NE(open_gguf(lonely).status().what().find("golden-split-00002-of-00002.gguf"),
            std::string::npos);
  EXPECT_NE(open_gguf(nameless).status().what().find("its name does not say which"),
            std::string::npos);
  std::filesystem::copy(lonely, sibling);  // the first part again, under the second's name
  EXPECT_NE(open_gguf(lonely).status().what().find("says that it is another part"),
            std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST(Gguf, MetadataIsReplacedInPlaceAndErased) {
  Metadata m;
  m.set_u32("a", 1);
  m.set_string("b", "text");
  m.set_strings("c", {"x", "", "yz"});
  m.set_f32s("d", std::vector<float>{1, 2.5f});
  m.set_i32s("e", std::vector<int32_t>{-1, 7});
  m.set_u32("a", 2);
  m.set_bool("b", false);
  m.erase("d");
  ASSERT_EQ(m.entries().size(), 4u);
  EXPECT_EQ(m.entries()[0].first, "a");
  EXPECT_EQ(m.unsigned_at("a"), 2u);
  EXPECT_EQ(m.bool_at("b"), false);
  EXPECT_EQ(m.find("c")->as_strings(), (std::vector<std::string_view>{"x", "", "yz"}));
  EXPECT_EQ(m.find("e")->as_numbers(), (std::vector<double>{-1, 7}));
  EXPECT_EQ(m.find("d"), nullptr);
}

TEST(Gguf, WriterRefusesWhatWasNotAnnounced) {
  const std::string path = temporary("writer.gguf");
  auto out = OutputFile::create(path, true);
  ASSERT_TRUE(out.ok());
  Metadata metadata;
  GgufWriter writer(*out, metadata);
  const uint64_t shape[] = {32, 2}, odd[] = {33, 1},
                 huge[] = {uint64_t{1} << 40, uint64_t{1} << 40};
  EXPECT_TRUE(writer.add("a", Type::Q8_0, shape).ok());
  EXPECT_FALSE(writer.add("a", Type::F32, shape).ok());
  EXPECT_FALSE(writer.add("b", Type::Q8_0, odd).ok());
  EXPECT_FALSE(writer.add("c", Type::F32, huge).ok());
  ASSERT_TRUE(writer.begin().ok());
  const std::vector<uint8_t> bytes(68);
  ASSERT_TRUE(writer.write(ByteView(bytes).first(60)).ok());
  EXPECT_NE(writer.finish().what().find("tensor a"), std::string::npos);
  ASSERT_TRUE(writer.write(ByteView(bytes).first(8)).ok());
  EXPECT_TRUE(writer.finish().ok());
  EXPECT_FALSE(writer.write(ByteView(bytes).first(1)).ok());
}

}  // namespace
}  // namespace enxuto
