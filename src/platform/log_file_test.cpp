#include "platform/log_file.h"

#include <gtest/gtest.h>

#include "platform/faults.h"
#include "platform/file.h"
#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

TEST(LogFile, GrowsAndGoesOnWhereItWasCut) {
  const ScratchFolder folder;
  const std::string path = folder.path("log");
  {
    auto log = LogFile::open(path, 0);
    ASSERT_TRUE(log.ok());
    ASSERT_TRUE(log->append("one\n").ok());
    ASSERT_TRUE(log->append("two\n").ok());
    EXPECT_EQ(*read_text_file(path, 100), "one\ntwo\n") << "at once";
  }
  ASSERT_TRUE(LogFile::open(path, 4)->append("three\n").ok());
  EXPECT_EQ(*read_text_file(path, 100), "one\nthree\n");
  ASSERT_TRUE(LogFile::open(path, 1000)->append("four\n").ok());
  EXPECT_EQ(*read_text_file(path, 100), "one\nthree\nfour\n");
}

TEST(LogFile, SaysWhatCannotBeWritten) {
  const ScratchFolder folder;
  EXPECT_EQ(LogFile::open(folder.path("none/log"), 0).status().code(), Code::kFailed);
  auto log = LogFile::open(folder.path("log"), 0);
  inject_fault(FaultPoint::kWrite, 1);
  EXPECT_EQ(log->append("text").code(), Code::kFailed);
  inject_fault(FaultPoint::kWrite, 0);
}

}  // namespace
}  // namespace enxuto
