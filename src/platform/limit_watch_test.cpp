// The watch on made-up machines: a folder with the files that the kernel would show.
#include "platform/limit_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "platform/interrupt.h"
#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

constexpr const char* kLimit = "sys/fs/cgroup/a/memory.max";

class LimitWatch : public testing::Test {
 protected:
  void SetUp() override {
    root_.write("proc/self/cgroup", "0::/a/b\n");
    root_.write("sys/fs/cgroup/a/b/memory.max", "max\n");
    root_.write(kLimit, "1000000\n");
  }
  void TearDown() override { watch_memory_limits(0); }
  static void wait_for_next_look() { std::this_thread::sleep_for(std::chrono::milliseconds(600)); }

  ScratchFolder root_;
};

TEST_F(LimitWatch, StopsWhereTheLimitFallsBelowWhatIsNeeded) {
  watch_memory_limits(900'000, root_.path());
  EXPECT_FALSE(interrupted());
  root_.write(kLimit, "900000\n");
  wait_for_next_look();
  EXPECT_FALSE(interrupted());
  root_.write(kLimit, "899999\n");
  wait_for_next_look();
  EXPECT_TRUE(interrupted());
  const auto fell = memory_limit_fell();
  ASSERT_TRUE(fell);
  EXPECT_EQ(fell->code(), Code::kDoesNotFit);
  EXPECT_NE(fell->what().find("memory.max of /a"), std::string::npos) << fell->what();
  watch_memory_limits(0);
  EXPECT_FALSE(interrupted());
}

TEST_F(LimitWatch, WhatWasTooLittleFromTheBeginningIsTheUsersChoice) {
  watch_memory_limits(1'000'001, root_.path());
  root_.write(kLimit, "10\n");
  wait_for_next_look();
  EXPECT_FALSE(interrupted());
}

}  // namespace
}  // namespace enxuto
