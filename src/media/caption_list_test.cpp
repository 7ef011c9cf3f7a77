// Lists of pictures with captions, in each of their forms.
#include "media/caption_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class CaptionListTest : public testing::Test {
 protected:
  // What each entry says: its file, without the folder, and its text; or what is wrong with it.
  std::vector<std::string> entries(const std::string& name, const std::string& text) {
    scratch_.write(name, text);
    const auto list = CaptionList::open({scratch_.path()});
    if (!list.ok()) return {list.status().what()};
    std::vector<std::string> found;
    for (size_t i = 0; i < list->size(); ++i) {
      const auto caption = list->at(i);
      if (caption.ok()) {
        EXPECT_THAT(caption->file, StartsWith(scratch_.path() + "/"));
      }
      found.push_back(caption.ok()
                          ? caption->file.substr(scratch_.path().size() + 1) + ": " + caption->text
                          : caption.status().what());
    }
    return found;
  }

  ScratchFolder scratch_;
};

TEST_F(CaptionListTest, ACsvSaysWhatJsonLinesSay) {
  const std::vector<std::string> said = {"a.png: red heart", "b/c.png: a \"cat\", sitting"};
  EXPECT_EQ(
      entries("captions.csv", "file,text\na.png,red heart\nb/c.png,\"a \"\"cat\"\", sitting\"\n"),
      said);
  EXPECT_EQ(entries("captions.jsonl",
                    "{\"file\": \"a.png\", \"text\": \"red heart\"}\n"
                    "{\"image\": \"b/c.png\", \"caption\": \"a \\\"cat\\\", sitting\"}"),
            said);
}

TEST_F(CaptionListTest, ColumnsOfACsvMayStandAnywhere) {
  EXPECT_THAT(entries("metadata.csv",
                      "\xEF\xBB\xBF"
                      "caption;id;file_name\r\none; 1;1.png\r\n\r\n\"two\nlines\";2;2.png"),
              ElementsAre("1.png: one", "2.png: two\nlines"));
}

TEST_F(CaptionListTest, RowsOfACsvThatCannotBeUsedAreNamedByTheirLine) {
  const auto found = entries(
      "captions.csv",
      "file,text\n\n\"a.png\",\"two\nlines\"\nb.png\n,nothing\nc.png,\xE9t\xE9\nd.png,good\n");
  const std::string place = scratch_.path("captions.csv") + ":";
  EXPECT_THAT(found,
              ElementsAre("a.png: two\nlines", place + "5: 1 fields, where the header has 2",
                          place + "6: no file is named", place + "7: not UTF-8", "d.png: good"));
}

TEST_F(CaptionListTest, ACsvWithoutItsColumnsIsRefusedAtItsPlace) {
  EXPECT_THAT(entries("captions.csv", "name,text\na.png,red\n"),
              ElementsAre(EndsWith("captions.csv:1: no header with a file and a text")));
  EXPECT_THAT(entries("captions.csv", "file,text\na.png,\"red\n" + std::string(2 << 20, 'x')),
              ElementsAre(EndsWith("captions.csv:2: a row without an end")));
  EXPECT_THAT(entries("captions.csv", "file,text\n"), ElementsAre(HasSubstr("no captions in")));
}

}  // namespace
}  // namespace enxuto
