#include "platform/child_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace enxuto {
namespace {

using testing::HasSubstr;

TEST(ChildProgram, RunsToItsEnd) {
  EXPECT_TRUE(run_child_program({"true"}, "coreutils").ok());
  const Status failed = run_child_program({"sh", "-c", "exit 3"}, "dash");
  EXPECT_EQ(failed.code(), Code::kFailed);
  EXPECT_THAT(failed.what(), HasSubstr("sh failed"));
}

TEST(ChildProgram, SaysWhatToInstallWhereItIsMissing) {
  const Status missing = run_child_program({"enxuto-no-such-program"}, "a-package");
  EXPECT_EQ(missing.code(), Code::kFailed);
  EXPECT_THAT(missing.what(), HasSubstr("cannot run enxuto-no-such-program"));
  EXPECT_THAT(missing.todo(), HasSubstr("apt-get install a-package"));
}

}  // namespace
}  // namespace enxuto
