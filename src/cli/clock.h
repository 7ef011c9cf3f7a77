// Time as the commands report it.
#pragma once

#include <chrono>

#include "platform/clock.h"

namespace enxuto {

inline std::chrono::steady_clock::time_point& program_start() {
  static std::chrono::steady_clock::time_point start;
  return start;
}
inline void start_clock() { program_start() = std::chrono::steady_clock::now(); }

}  // namespace enxuto
