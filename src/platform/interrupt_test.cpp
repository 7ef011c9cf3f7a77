#include "platform/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "platform/file.h"

namespace enxuto {
namespace {

std::string fresh_name() {
  return (std::filesystem::path(testing::TempDir()) / "interrupted.out").string();
}

size_t files_like(const std::string& path) {
  size_t count = 0;
  const std::filesystem::path whole(path);
  for (const auto& entry : std::filesystem::directory_iterator(whole.parent_path()))
    count += entry.path().filename().string().starts_with(whole.filename().string());
  return count;
}

TEST(Interrupt, TheFirstIsAskedForPolitely) {
  install_interrupt_handler();
  EXPECT_FALSE(interrupted());
  std::raise(SIGINT);
  EXPECT_TRUE(interrupted());
  clear_interrupt();
  EXPECT_FALSE(interrupted());
  remove_interrupt_handler();
}

TEST(InterruptDeathTest, TheSecondEndsAtOnceAndLeavesNoHalfWrittenFile) {
  const std::string path = fresh_name();
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        auto file = OutputFile::create(path, true);
        const uint8_t byte = 1;
        if (!file.ok() || !file->write({&byte, 1}).ok() || files_like(path) != 1) std::exit(1);
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      testing::ExitedWithCode(130), "");
  EXPECT_EQ(files_like(path), 0u);
}

TEST(InterruptDeathTest, AMappedFileThatBecomesShorterIsNoCrash) {
  const std::string path = fresh_name(), model = path + ".model";
  std::ofstream(model) << std::string(1 << 20, 'x');
  EXPECT_EXIT(
      {
        install_bus_error_handler();
        auto file = OutputFile::create(path, true);
        const auto mapped = MappedFile::open(model);
        std::filesystem::resize_file(model, 0);
        const volatile uint8_t* bytes = mapped.ok() ? (*mapped)->bytes().data() : nullptr;
        std::exit(bytes ? bytes[1 << 19] : 2);
      },
      testing::ExitedWithCode(1), "became shorter");
  std::filesystem::remove(model);
  EXPECT_EQ(files_like(path), 0u);
}

}  // namespace
}  // namespace enxuto
