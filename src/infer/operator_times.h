// Where passes spend their time, operator by operator.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace enxuto {

enum class Operator { kQkv, kAttention, kAttentionOutput, kGateUp, kDown, kHead };
inline constexpr size_t kOperators = 6;

struct OperatorTime {
  double seconds = 0;
  uint64_t weight_bytes = 0;  // that a pass reads once, whatever its number of tokens
  uint64_t products = 0;      // with weights
};

using OperatorTimes = std::array<OperatorTime, kOperators>;

// From here to the end of the scope; null: not timed.
class OperatorTimer {
 public:
  OperatorTimer(OperatorTimes* times, Operator op)
      : time_(times ? &(*times)[static_cast<size_t>(op)] : nullptr) {
    if (time_) start_ = Clock::now();
  }
  ~OperatorTimer() {
    if (time_) time_->seconds += std::chrono::duration<double>(Clock::now() - start_).count();
  }
  OperatorTimer(const OperatorTimer&) = delete;
  OperatorTimer& operator=(const OperatorTimer&) = delete;

  void add(uint64_t weight_bytes, uint64_t products) {
    if (!time_) return;
    time_->weight_bytes += weight_bytes;
    time_->products += products;
  }

 private:
  using Clock = std::chrono::steady_clock;
  OperatorTime* time_;
  Clock::time_point start_;
};

}  // namespace enxuto
