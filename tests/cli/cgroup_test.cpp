// The program in a memory cgroup of its own, where the machine lets this test make one.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;

// Version 1 or 2; gone at the end.
class Cgroup {
 public:
  Cgroup() {
    const std::string base = "/sys/fs/cgroup";
    v1_ = std::filesystem::is_directory(base + "/memory");
    folder_ = fmt::format("{}{}/enxuto-test-{}", base, v1_ ? "/memory" : "", ::getpid());
    if (!v1_) std::ofstream(base + "/cgroup.subtree_control") << "+memory";
    std::error_code error;
    made_ = std::filesystem::create_directory(folder_, error) && set_limit(uint64_t{1} << 30);
  }
  ~Cgroup() {
    if (std::filesystem::is_directory(folder_)) ::rmdir(folder_.c_str());
  }
  Cgroup(const Cgroup&) = delete;

  bool made() const { return made_; }
  const std::string& folder() const { return folder_; }
  bool set_limit(uint64_t bytes) const {
    std::ofstream limit(folder_ + (v1_ ? "/memory.limit_in_bytes" : "/memory.max"));
    return static_cast<bool>(limit << bytes << std::flush);
  }
  bool is_busy() const {
    std::string process;
    return static_cast<bool>(std::ifstream(folder_ + "/cgroup.procs") >> process);
  }

 private:
  bool v1_ = false, made_ = false;
  std::string folder_;
};

TEST(InACgroup, ALimitThatFallsMeanwhileEndsTheCommandInOrder) {
  const Cgroup group;
  if (!group.made()) GTEST_SKIP() << "this machine lets us make no memory cgroup (root can)";
  const ScratchFolder scratch;
  const std::string model = scratch.path("tiny.gguf");
  write_tiny_llama(model);
  // A long context is planned and hardly touched: the limit falls below the plan and not below what
  // is held, also where AddressSanitizer adds to that.
  const std::string context = "1000000";
  const Outcome plan =
      run_program({"plan", model, "--for", "bench", "-c", context, "-t", "1", "--json"});
  const uint64_t planned = nlohmann::json::parse(plan.out)["total_bytes"];
  std::thread administrator([&] {
    while (!group.is_busy()) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_TRUE(group.set_limit(planned / 4 * 3));
  });
  Invocation endless{{"bench", model, "-c", context, "-t", "1", "--prefill", "100", "--decode",
                      "20", "--repeat", "1000"}};
  endless.cgroup = group.folder();
  const Outcome outcome = run_program(endless);
  administrator.join();
  EXPECT_EQ(outcome.exit_code, 4) << outcome.error;
  EXPECT_THAT(outcome.error, HasSubstr("was lowered to"));
}

}  // namespace
}  // namespace enxuto
