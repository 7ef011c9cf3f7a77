#include "models/finite.h"

#include <fmt/format.h>

#include <atomic>
#include <bit>

#include "platform/interrupt.h"

namespace enxuto {

// Without branches, so that compilers vectorize it.
bool all_finite(std::span<const float> values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (const float value : values) bad |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent;
  return bad == 0;
}

bool all_finite(const Tensor& tensor, ThreadTeam& team) {
  if (!tensor.codec().decode) return true;  // no weights: integers
  std::atomic<bool> finite = true;
  team.parallel_for(static_cast<int64_t>(tensor.rows()), 256, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(tensor.columns());
    for (int64_t i = begin; i < end; ++i) {
      const ByteView bytes = tensor.row(static_cast<uint64_t>(i));
      tensor.codec().decode(bytes.data(), row.data(), row.size());
      if (!all_finite(row)) finite = false;
    }
  });
  return finite;
}

Status not_finite(const Tensor& tensor) {
  return Status::bad_input(
      fmt::format("tensor {} holds values that are not finite numbers", tensor.name),
      "the file is damaged, or the model overflowed in training: get it anew");
}

Status explain_no_numbers(const Model& model, ThreadTeam& team) {
  for (const Tensor& tensor : model.tensors) {
    if (interrupted()) return Status::interrupted();
    if (!all_finite(tensor, team)) return not_finite(tensor);
  }
  return Status::bad_input("what the model computes are no finite numbers",
                           "its weights are, but its sums grow too large: try another model");
}

}  // namespace enxuto
