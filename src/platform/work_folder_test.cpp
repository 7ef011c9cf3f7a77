#include "platform/work_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(WorkFolder, IsMadeAndKeepsItsFiles) {
  const ScratchFolder scratch;
  {
    const auto folder = WorkFolder::open(scratch.path("state"));
    ASSERT_TRUE(folder.ok()) << folder.status().what();
    EXPECT_TRUE(folder->names().empty());
  }
  scratch.write("state/b", "22");
  scratch.write("state/a", "1");
  const auto folder = WorkFolder::open(scratch.path("state"));
  ASSERT_TRUE(folder.ok()) << folder.status().what();
  EXPECT_THAT(folder->names(), ElementsAre("a", "b"));
  EXPECT_EQ(folder->bytes(), 3u);
  EXPECT_EQ(folder->bytes("b"), 2u);
  EXPECT_GT(folder->free_bytes(), 0u);
  EXPECT_TRUE(folder->remove("a").ok());
  EXPECT_TRUE(folder->remove("a").ok());
  EXPECT_FALSE(folder->has("a"));
  EXPECT_TRUE(folder->has("b"));
}

TEST(WorkFolder, BelongsToOneAtATime) {
  const ScratchFolder scratch;
  auto first = std::make_unique<Result<WorkFolder>>(WorkFolder::open(scratch.path("state")));
  ASSERT_TRUE(first->ok());
  const auto second = WorkFolder::open(scratch.path("state"));
  EXPECT_EQ(second.status().code(), Code::kFailed);
  EXPECT_THAT(second.status().what(), HasSubstr("in use"));
  first.reset();
  EXPECT_TRUE(WorkFolder::open(scratch.path("state")).ok());
}

TEST(WorkFolder, WhatCannotBeOneIsAnError) {
  const ScratchFolder scratch;
  const std::string file = scratch.write("notes.txt", "mine");
  EXPECT_EQ(WorkFolder::open(file).status().code(), Code::kUsage);
  EXPECT_EQ(WorkFolder::open(scratch.path("no/such")).status().code(), Code::kFailed);
}

}  // namespace
}  // namespace enxuto
