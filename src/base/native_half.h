// The compiler's own binary16, for tests: g++ 12 names it so on each processor.
#pragma once

namespace enxuto {

#if defined(__aarch64__)
using NativeHalf = __fp16;
#else
using NativeHalf = _Float16;
#endif

}  // namespace enxuto
