// Chooses the table once, at first use: the last of the list that this machine can run, or the one
// that ENXUTO_ISA names.
#include <array>
#include <cstdlib>
#include <string>

#include "kernels/tables.h"
#include "platform/cpu.h"

namespace enxuto {
namespace {

struct Choice {
  std::array<const KernelTable*, 6> available = {&kReferenceKernels};
  size_t n_available = 1;
  const KernelTable* chosen = &kReferenceKernels;
  std::string error;

  void offer(const KernelTable& table, bool usable) {
    if (usable) available[n_available++] = &table;
  }

#ifdef ENXUTO_X86_KERNELS
  KernelTable bf16, amx;
  static KernelTable with(const Bf16Kernels& own) {
    KernelTable table = kAvx512VbmiKernels;
    table.isa = own.isa;
    table.multiplies_bf16 = own.multiplies_bf16;
    table.matmul_rows_bf16 = own.matmul_rows_bf16;
    return table;
  }
#endif

  Choice() {
#ifdef ENXUTO_X86_KERNELS
    const CpuFeatures& cpu = cpu_features();
    offer(kAvx2Kernels, cpu.avx2);
    offer(kAvx512VnniKernels, cpu.avx512vnni);
    offer(kAvx512VbmiKernels, cpu.avx512vbmi);
    const bool can = cpu.avx512vbmi && cpu.avx512bf16;
    offer(bf16 = with(kAvx512Bf16), can);
    offer(amx = with(kAmx), can && cpu.amx_bf16);
#elif defined(ENXUTO_ARM_KERNELS)
    offer(kNeonKernels, true);
    offer(kNeonDotKernels, cpu_features().dot_products);
#endif
    chosen = available[n_available - 1];
    const char* pin = std::getenv("ENXUTO_ISA");
    if (!pin || !*pin) return;
    std::string names;
    for (size_t i = 0; i < n_available; ++i) {
      names += (i ? ", " : "") + std::string(available[i]->isa);
      if (std::string_view(pin) == available[i]->isa) {
        chosen = available[i];
        return;
      }
    }
    error = "ENXUTO_ISA=" + std::string(pin) + " is not one of this machine's: " + names;
  }
};

const Choice& choice() {
  static const Choice made;
  return made;
}

}  // namespace

const KernelTable& kernels() { return *choice().chosen; }

std::span<const KernelTable* const> available_kernels() {
  return {choice().available.data(), choice().n_available};
}

const char* kernel_pin_error() { return choice().error.empty() ? nullptr : choice().error.c_str(); }

}  // namespace enxuto
