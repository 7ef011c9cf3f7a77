#include "plan/expectation.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"

namespace enxuto {
namespace {

constexpr double kIntercept = 3.20, kPerBit = 1.22, kPerLogBillion = 0.80;
constexpr double kSmallestMeasured = 0.1345, kLargestMeasured = 1.777;  // billions of parameters

}  // namespace

double expected_kld(double bits_per_weight, uint64_t parameters) {
  const double billions =
      std::clamp(static_cast<double>(parameters) / 1e9, kSmallestMeasured, kLargestMeasured);
  return std::exp(kIntercept - kPerBit * bits_per_weight - kPerLogBillion * std::log(billions));
}

uint64_t bytes_per_step(uint64_t weights_read, uint64_t kv_bytes) {
  return checked_add(weights_read, kv_bytes).value_or(UINT64_MAX);
}

double expected_steps_per_second(uint64_t bytes, double bandwidth) {
  return bytes && bandwidth > 0 ? bandwidth / static_cast<double>(bytes) : 0;
}

}  // namespace enxuto
