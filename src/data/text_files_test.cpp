#include "data/text_files.h"

#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

class TextFilesTest : public testing::Test {
 protected:
  InputFile open(const std::string& content) {
    return std::move(InputFile::open(folder_.write("file", content))).value();
  }
  std::vector<std::string> parts(const std::string& content) {
    const TextCuts cuts;
    TextParts reader(open(content), cuts);
    std::vector<std::string> all;
    for (;;) {
      const auto part = reader.next();
      EXPECT_TRUE(part.ok());
      if (!part.ok() || part->empty()) return all;
      all.emplace_back(*part);
    }
  }
  // Each line; "!" for one that is too long.
  std::vector<std::string> lines(const std::string& content, uint64_t most) {
    TextLines reader(open(content), most);
    std::vector<std::string> all;
    for (;;) {
      const auto line = reader.next();
      EXPECT_TRUE(line.ok());
      if (!line.ok() || line->end) break;
      all.emplace_back(line->too_long ? "!" : line->text);
      EXPECT_EQ(reader.number(), all.size());
    }
    EXPECT_EQ(reader.bytes(), content.size());
    return all;
  }

  ScratchFolder folder_;
};

TEST_F(TextFilesTest, FoldersGiveTheirFilesByName) {
  for (const char* name : {"d/b.txt", "d/a/z.md", "d/a/c.jsonl", "d/.git/config", "d/.hidden"})
    folder_.write(name, "text");
  const std::string single = folder_.write("single.ndjson", "{}");
  const auto files = find_text_files({single, folder_.path("d")});
  ASSERT_TRUE(files.ok());
  std::vector<std::string> names;
  for (const TextFile& file : *files) names.push_back(file.path.substr(folder_.path().size() + 1));
  EXPECT_EQ(names,
            (std::vector<std::string>{"single.ndjson", "d/a/c.jsonl", "d/a/z.md", "d/b.txt"}));
  EXPECT_TRUE((*files)[0].named && (*files)[0].json_lines);
  EXPECT_TRUE(!(*files)[1].named && (*files)[1].json_lines);
  EXPECT_TRUE(!(*files)[3].json_lines);
  EXPECT_EQ((*files)[3].bytes, 4u);
  EXPECT_EQ(find_text_files({folder_.path("none")}).status().code(), Code::kBadInput);
  EXPECT_EQ(find_text_files({}).status().code(), Code::kUsage);
}

TEST_F(TextFilesTest, PartsAreCutAtWords) {
  std::string text;
  for (int i = 0; text.size() < 3 * kPartBytes; i++) text += "word " + std::to_string(i) + "\nx";
  const std::vector<std::string> all = parts(text);
  EXPECT_GE(all.size(), 3u);
  std::string joined;
  for (const std::string& part : all) {
    EXPECT_LE(part.size(), kPartBytes);
    EXPECT_TRUE(joined.empty() || part[0] == 'x') << part.substr(0, 20);
    joined += part;
  }
  EXPECT_EQ(joined, text);
}

TEST_F(TextFilesTest, PartsOfEndlessTextAreBounded) {
  std::string text = "a";
  while (text.size() < 2 * kMostPartBytes + 1000) text += "日";
  const std::vector<std::string> all = parts(text);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0] + all[1] + all[2], text);
  for (const std::string& part : all) {
    EXPECT_LE(part.size(), kMostPartBytes);
    EXPECT_EQ(malformed_bytes(part), 0u);  // no character is cut
  }
  EXPECT_EQ(parts("").size(), 0u);
  EXPECT_EQ(parts("short"), std::vector<std::string>{"short"});
  EXPECT_EQ(parts(std::string(kPartBytes, 'x')).size(), 1u);
}

TEST_F(TextFilesTest, LinesAreOfBoundedLength) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines("", 10), Lines());
  EXPECT_EQ(lines("one\n\ntwo\n", 10), (Lines{"one", "", "two"}));
  EXPECT_EQ(lines("one\r\nlast", 10), (Lines{"one\r", "last"}));
  EXPECT_EQ(lines("0123456789\n0123456789A\nx", 10), (Lines{"0123456789", "!", "x"}));
  EXPECT_EQ(lines("0123456789A", 10), (Lines{"!"}));
  const std::string giant(5 * kPartBytes, 'x');
  EXPECT_EQ(lines("a\n" + giant + "\nb\n" + giant, 100), (Lines{"a", "!", "b", "!"}));
  EXPECT_EQ(lines(giant + "\nb", giant.size()), (Lines{giant, "b"}));
}

TEST_F(TextFilesTest, TellTextFromBinaryData) {
  EXPECT_TRUE(looks_like_text(""));
  EXPECT_TRUE(looks_like_text("Ol\xe1, mem\xf3ria em Latin-1"));
  EXPECT_FALSE(looks_like_text(std::string_view("a\0b", 3)));
  EXPECT_FALSE(looks_like_text("\x89PNG\xff\xfe\xfd\xfc"));
  EXPECT_EQ(malformed_bytes("a\xff\xef\xbf\xbd\xfe"), 2u);
}

}  // namespace
}  // namespace enxuto
