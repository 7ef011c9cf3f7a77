#include "platform/cpu.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace enxuto {
namespace {

#if defined(__x86_64__)
// The registers that the operating system saves when it switches threads.
uint64_t saved_registers() {
  uint32_t low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Linux keeps tiles from processes that have not asked for them: their 8 KiB would make every
// signal's frame larger.
bool tiles_are_granted() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

CpuFeatures probe() {
  CpuFeatures features = {};
  uint32_t a, b, c, d;
  const auto bit = [](uint32_t word, int n) { return (word >> n & 1) != 0; };
  const auto all = [](uint64_t word, uint64_t mask) { return (word & mask) == mask; };
  if (!__get_cpuid(1, &a, &b, &c, &d)) return features;
  const bool fma = bit(c, 12), osxsave = bit(c, 27), avx = bit(c, 28), f16c = bit(c, 29);
  if (!osxsave || !avx || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return features;
  const uint64_t saved = saved_registers();
  features.avx2 = all(saved, 0x6) && fma && f16c && bit(b, 5);
  features.avx512vnni = features.avx2 && all(saved, 0xe6) && bit(b, 16) && bit(b, 17) &&
                        bit(b, 30) && bit(b, 31) && bit(c, 11);  // F, DQ, BW, VL; VNNI
  features.avx512vbmi = features.avx512vnni && bit(c, 1) && bit(c, 6) && bit(c, 8) &&
                        bit(b, 8);                                     // VBMI, VBMI2; GFNI; BMI2
  const bool tiles = bit(d, 24) && bit(d, 22) && all(saved, 0x60000);  // AMX-TILE, AMX-BF16
  features.amx_bf16 = features.avx512vnni && tiles && tiles_are_granted();
  features.avx512bf16 = features.avx512vnni && __get_cpuid_count(7, 1, &a, &b, &c, &d) && bit(a, 5);
  return features;
}
#elif defined(__aarch64__)
CpuFeatures probe() {
  CpuFeatures features = {};
  features.dot_products = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  return features;
}
#else
CpuFeatures probe() { return {}; }
#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = probe();
  return features;
}

}  // namespace enxuto
