// Time as the commands report it.
#pragma once

#include <chrono>

namespace enxuto {

inline std::chrono::steady_clock::time_point& program_start() {
  static std::chrono::steady_clock::time_point start;
  return start;
}
inline void start_clock() { program_start() = std::chrono::steady_clock::now(); }

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace enxuto
