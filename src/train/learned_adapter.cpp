#include "train/learned_adapter.h"

#include <cmath>

#include "base/checked.h"
#include "kernels/optimizer_steps.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

void draw(const Tensor& tensor, uint64_t place, uint64_t seed, float* values) {
  const float most = 1 / std::sqrt(static_cast<float>(tensor.columns()));
  for (uint64_t i = 0; i < tensor.rows(); ++i) {
    const Chance chance = Chance::of(place << 32 | i, seed);
    for (uint64_t c = 0; c < tensor.columns(); ++c)
      *values++ = most * (2 * chance.at(static_cast<uint32_t>(c)) - 1);
  }
}

}  // namespace

Result<LearnedAdapter> LearnedAdapter::create(const Model& model, uint32_t rank, uint64_t seed,
                                              Arena& arena) {
  LearnedAdapter learned;
  const MemoryPart* part = arena.map().find(owner::kAdapter);
  ASSIGN_OR_RETURN(learned.memory_, arena.take<uint8_t>(owner::kAdapter, part->bytes));
  const auto adapter = blank_adapter(model, rank);
  uint64_t offset = 0;
  for (Tensor& tensor : adapter->tensors) {
    tensor.data = learned.memory_.subspan(offset, tensor.bytes());
    offset += align_up(tensor.bytes(), kLine);
  }
  for (const LowRank& pair : adapter->pairs)  // memory is zero at first, and b stays so
    draw(*pair.a, static_cast<uint64_t>(pair.a - adapter->tensors.data()), seed,
         reinterpret_cast<float*>(learned.data(*pair.a)));
  learned.adapter_ = adapter;
  return learned;
}

}  // namespace enxuto
