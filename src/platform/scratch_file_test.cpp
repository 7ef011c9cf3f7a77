#include "platform/scratch_file.h"

#include <gtest/gtest.h>

#include <memory>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

constexpr uint64_t kSize = 3 * ScratchFile::kAlignment;

struct Aligned {
  alignas(ScratchFile::kAlignment) uint8_t bytes[kSize];
};

TEST(ScratchFile, KeepsWhatIsWrittenAndHasNoName) {
  const ScratchFolder folder;
  auto file = ScratchFile::create(folder.path(), 4 * kSize);
  ASSERT_TRUE(file.ok()) << file.status().what();
  EXPECT_TRUE(folder.names().empty());
  const auto out = std::make_unique<Aligned>(), in = std::make_unique<Aligned>();
  for (uint64_t i = 0; i < kSize; ++i) out->bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  ASSERT_TRUE(file->write(kSize, out->bytes, kSize).ok());
  ASSERT_TRUE(file->read(kSize, in->bytes, kSize).ok());
  EXPECT_TRUE(std::equal(in->bytes, in->bytes + kSize, out->bytes));
  EXPECT_EQ(file->read(8 * kSize, in->bytes, kSize).code(), Code::kFailed) << "past the end";
}

TEST(ScratchFile, AFolderThatIsNotThereIsSaid) {
  const auto file = ScratchFile::create("/nowhere/at/all", kSize);
  EXPECT_EQ(file.status().code(), Code::kFailed);
  EXPECT_NE(file.status().what().find("/nowhere/at/all"), std::string::npos);
}

}  // namespace
}  // namespace enxuto
