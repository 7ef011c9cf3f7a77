// The tables that this build holds. A unit of isa/ is compiled only for processors it is meant for.
#pragma once

#include "kernels/kernels.h"

namespace enxuto {

extern const KernelTable kReferenceKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAvx512VbmiKernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotKernels;

// What processors that multiply bf16 do otherwise than avx512vbmi's table.
struct Bf16Kernels {
  const char* isa;
  decltype(KernelTable::multiplies_bf16) multiplies_bf16;
  decltype(KernelTable::matmul_rows_bf16) matmul_rows_bf16;
};
extern const Bf16Kernels kAvx512Bf16;
extern const Bf16Kernels kAmx;

}  // namespace enxuto
