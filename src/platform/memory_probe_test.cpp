// The probe on made-up machines: folders with the files that the kernel would show.
#include "platform/memory_probe.h"

#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class Machine {
 public:
  Machine() {
    write("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
    write("proc/self/status", "VmSize: 20480 kB\nVmRSS: 10240 kB\n");
  }
  void write(const std::string& file, const std::string& text) const { root_.write(file, text); }
  MemoryLimit probe() const { return probe_memory(root_.path()); }

 private:
  ScratchFolder root_;
};

TEST(MemoryProbe, WithoutLimitsWhatIsAvailableBinds) {
  const Machine machine;
  EXPECT_EQ(machine.probe().source, "MemAvailable");
  EXPECT_EQ(machine.probe().bytes, 8192 * kMiB + 10 * kMiB);  // what it holds itself included
}

TEST(MemoryProbe, TheTightestOfNestedGroupsBinds) {
  const Machine machine;
  machine.write("proc/self/cgroup", "0::/a/b\n");
  machine.write("sys/fs/cgroup/a/b/memory.max", "max\n");
  machine.write("sys/fs/cgroup/a/memory.max", "1073741824\n");
  EXPECT_EQ(machine.probe().source, "cgroup v2 memory.max of /a");
  EXPECT_EQ(machine.probe().bytes, 1024 * kMiB);
  machine.write("sys/fs/cgroup/a/b/memory.max", "536870912\n");
  EXPECT_EQ(machine.probe().source, "cgroup v2 memory.max of /a/b");
}

TEST(MemoryProbe, WhatOthersInAGroupHoldIsNotFreeButTheirFilesAre) {
  const Machine machine;
  machine.write("proc/self/cgroup", "5:cpu:/x\n4:memory,hugetlb:/box\n0::/\n");
  machine.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
  machine.write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "524288000\n");  // 500 MiB
  machine.write("sys/fs/cgroup/memory/box/memory.stat",
                "cache 0\ntotal_inactive_file 104857600\ntotal_active_file 104857600\n");
  EXPECT_EQ(machine.probe().source, "cgroup v1 memory.limit_in_bytes of /box");
  EXPECT_EQ(machine.probe().bytes, (1024 - (500 - 200 - 10)) * kMiB);
}

TEST(MemoryProbe, AContainerThatSeesTheHostsPathFindsItsOwnLimit) {
  const Machine machine;
  machine.write("proc/self/cgroup", "4:memory:/docker/0123\n");
  machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
  EXPECT_EQ(machine.probe().bytes, 256 * kMiB);
}

TEST(MemoryProbe, TheMarginIsATwentiethAndBounded) {
  EXPECT_EQ(memory_margin(1000 * kMiB), 50 * kMiB);
  EXPECT_EQ(memory_margin(100'000 * kMiB), 512 * kMiB);
}

}  // namespace
}  // namespace enxuto
