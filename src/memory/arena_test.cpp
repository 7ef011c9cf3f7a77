#include "memory/arena.h"

#include <gtest/gtest.h>

#include "platform/faults.h"

namespace enxuto {
namespace {

MemoryMap two_parts() {
  return {{{"weights", 1000, "mapped", "always", PartKind::kMapped},
           {"cache", 256, "", "", PartKind::kArena}}};
}

TEST(Arena, HandsOutExactlyWhatWasPlanned) {
  auto arena = Arena::open(two_parts());
  ASSERT_TRUE(arena.ok());
  auto floats = (*arena)->take<float>("cache", 17);  // 68 bytes, counted as 128
  ASSERT_TRUE(floats.ok());
  EXPECT_EQ(floats->size(), 17u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(floats->data()) % 64, 0u);
  EXPECT_EQ((*floats)[16], 0.0f);
  EXPECT_EQ((*arena)->take<uint8_t>("cache", 129).status().code(), Code::kDoesNotFit);
  EXPECT_TRUE((*arena)->take<uint8_t>("cache", 128).ok());
  EXPECT_EQ((*arena)->take<uint8_t>("cache", 1).status().code(), Code::kDoesNotFit);
}

TEST(Arena, RefusesWhatWasNotPlanned) {
  auto arena = Arena::open(two_parts());
  ASSERT_TRUE(arena.ok());
  EXPECT_EQ((*arena)->take<float>("logits", 1).status().code(), Code::kDoesNotFit);
  EXPECT_EQ((*arena)->take<float>("weights", 1).status().code(), Code::kDoesNotFit);
  EXPECT_EQ((*arena)->take<uint64_t>("cache", UINT64_MAX / 4).status().code(), Code::kDoesNotFit);
  EXPECT_EQ((*arena)->map().total_bytes(), 1256u);
}

TEST(Arena, SaysWhatTheMachineRefused) {
  inject_fault(FaultPoint::kAllocation, 1);
  const Status status = Arena::open(two_parts()).status();
  inject_fault(FaultPoint::kAllocation, 0);
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.what().find("cache"), std::string::npos);
}

TEST(Arena, APartThatIsResetIsZeroAndWholeAgain) {
  const auto arena = Arena::open({{{"work", 8192, "", "", PartKind::kArena}}});
  ASSERT_TRUE(arena.ok());
  auto bytes = (*arena)->take<uint8_t>("work", 8192);
  ASSERT_TRUE(bytes.ok());
  (*bytes)[5000] = 1;
  EXPECT_FALSE((*arena)->take<uint8_t>("work", 1).ok());
  (*arena)->reset("work");
  bytes = (*arena)->take<uint8_t>("work", 8192);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ((*bytes)[5000], 0);
}

}  // namespace
}  // namespace enxuto
