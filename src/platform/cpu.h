// What the processor can do and the operating system lets it do. The only place with CPUID.
#pragma once

namespace enxuto {

struct CpuFeatures {
  bool avx2;          // with FMA and F16C
  bool avx512vnni;    // with F, BW, DQ, VL
  bool avx512vbmi;    // with all these, VBMI2, GFNI and BMI2
  bool avx512bf16;    // with avx512vnni: products of bf16 numbers
  bool amx_bf16;      // tiles of them, which the kernel has granted to this process
  bool dot_products;  // Armv8's SDOT
};

const CpuFeatures& cpu_features();

}  // namespace enxuto
