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

}  // namespace enxuto
