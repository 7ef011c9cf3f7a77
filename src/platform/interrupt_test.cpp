#include "platform/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "platform/file.h"
#include "platform/scratch_folder.h"
#include "platform/threads.h"

namespace enxuto {
namespace {

TEST(Interrupt, TheFirstIsAskedForPolitely) {
  install_interrupt_handler();
  EXPECT_FALSE(interrupted());
  std::raise(SIGINT);
  EXPECT_TRUE(interrupted());
  clear_interrupt();
  EXPECT_FALSE(interrupted());
  remove_interrupt_handler();
}

// What multiplies matrices keeps its stack pointer in the heap meanwhile.
TEST(Interrupt, WritesNothingWhereTheStackPointerIs) {
  install_interrupt_handler();
  struct sigaction action = {};
  stack_t stack = {};
  for (const int signal : {SIGINT, SIGTERM}) {
    sigaction(signal, nullptr, &action);
    EXPECT_TRUE(action.sa_flags & SA_ONSTACK);
  }
  sigaltstack(nullptr, &stack);
  EXPECT_FALSE(stack.ss_flags & SS_DISABLE);
  remove_interrupt_handler();
  ThreadTeam team(3);
  team.parallel_for(3, 1, [&](int64_t, int64_t, int thread) {
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    if (thread == 0) return;
    EXPECT_TRUE(sigismember(&blocked, SIGINT));
    EXPECT_TRUE(sigismember(&blocked, SIGTERM));
  });
}

TEST(InterruptDeathTest, TheSecondEndsAtOnceAndLeavesNoHalfWrittenFile) {
  const ScratchFolder folder;
  const std::string path = folder.path("out");
  EXPECT_EXIT(
      {
        install_interrupt_handler();
        auto file = OutputFile::create(path, true);
        const uint8_t byte = 1;
        if (!file.ok() || !file->write({&byte, 1}).ok() || folder.names().size() != 1) std::exit(1);
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      testing::ExitedWithCode(130), "");
  EXPECT_TRUE(folder.names().empty());
}

TEST(InterruptDeathTest, AMappedFileThatBecomesShorterIsNoCrash) {
  const ScratchFolder folder;
  const std::string path = folder.path("out"), model = folder.path("model");
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
  EXPECT_EQ(folder.names(), std::vector<std::string>{"model"});
}

}  // namespace
}  // namespace enxuto
