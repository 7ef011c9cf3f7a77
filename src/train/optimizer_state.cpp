#include "train/optimizer_state.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "kernels/kernels.h"

namespace enxuto {
namespace {

uint64_t blocks_of(uint64_t columns) { return (columns + kMomentBlock - 1) / kMomentBlock; }

AdamRates adam_rates(const StepRates& rates, const Tensor& tensor, float gradient_scale) {
  const auto t = static_cast<double>(rates.step);
  return {rates.rate,
          tensor.n_dims > 1 ? 1 - rates.rate * rates.weight_decay : 1.0f,
          rates.beta1,
          rates.beta2,
          rates.epsilon,
          static_cast<float>(1 / (1 - std::pow(double{rates.beta1}, t))),
          static_cast<float>(1 / std::sqrt(1 - std::pow(double{rates.beta2}, t))),
          gradient_scale};
}

}  // namespace

struct OptimizerState::Step {
  const StepRates& of_all;
  AdamRates adam;
};

// At most kMomentBlock weights of a row.
struct OptimizerState::Block {
  uint64_t row, column, n;
  Chance chance(const StepRates& rates, uint32_t place, uint32_t what) const {
    const uint64_t where = (uint64_t{place} << 40 ^ row << 16 ^ column) * 0x9e3779b97f4a7c15;
    const uint64_t when = (rates.step * 4 + what) * 0xd1342543de82ef95 ^ rates.seed;
    const uint64_t mixed = (where ^ when) * 0xbf58476d1ce4e5b9;
    return {static_cast<uint32_t>(mixed >> 32 ^ mixed)};
  }
};

uint64_t OptimizerState::bytes() const {
  return *optimizer_bytes(optimizer_, rows_.size(), tensor_->columns());
}

uint64_t OptimizerState::bytes_of_all_rows() const {
  return *optimizer_bytes(optimizer_, tensor_->rows(), tensor_->columns());
}

float OptimizerState::scale(ThreadTeam& team, const StepRates& rates, float gradient_scale,
                            const Gathered& rows, bool by_rows) const {
  if (optimizer_ != Optimizer::kApollo) return gradient_scale;
  return ProjectedMoments(*tensor_, by_rows, place_, memory_)
      .scale(team, adam_rates(rates, *tensor_, gradient_scale), rates, rows);
}

std::vector<OptimizerState::Part> OptimizerState::parts() const {
  const uint64_t columns = tensor_->columns(), values = columns * sizeof(float),
                 scales = blocks_of(columns) * sizeof(float);
  std::vector<Part> parts;
  uint8_t* at = memory_;
  const auto add = [&](uint64_t row_bytes) {
    parts.push_back({at, row_bytes});
    at += rows_.size() * row_bytes;
  };
  switch (optimizer_) {
    case Optimizer::kAdamW:
      add(values), add(values);
      break;
    case Optimizer::kAdamW8bit:
      add(scales), add(scales), add(columns), add(columns);
      break;
    case Optimizer::kSgd:
      add(values);
      break;
    case Optimizer::kApollo:  // has none
      break;
  }
  return parts;
}

void OptimizerState::restore(std::span<const uint8_t> of_all_rows) const {
  const uint8_t* whole = of_all_rows.data();
  if (is_of_all_rows()) {
    std::ranges::copy(of_all_rows, memory_);
    return;
  }
  for (const Part& part : parts()) {
    std::copy_n(whole + rows_.begin * part.row_bytes, rows_.size() * part.row_bytes, part.rows);
    whole += tensor_->rows() * part.row_bytes;
  }
}

void OptimizerState::step(ThreadTeam& team, const StepRates& rates, float gradient_scale,
                          uint64_t first, uint64_t n_rows, const float* gradient,
                          uint8_t* weights) const {
  const uint64_t columns = tensor_->columns(), row_bytes = tensor_->row_bytes();
  const Step step = {rates, adam_rates(rates, *tensor_, gradient_scale)};
  team.parallel_for(static_cast<int64_t>(n_rows), 16, [&](int64_t begin, int64_t end, int) {
    for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i)
      step_row(step, first + i, gradient + i * columns, weights + i * row_bytes);
  });
}

void OptimizerState::step_row(const Step& step, uint64_t row, const float* gradient,
                              uint8_t* weights) const {
  const uint64_t columns = tensor_->columns();
  for (uint64_t c = 0; c < columns; c += kMomentBlock) {
    const Block block = {row, c, std::min<uint64_t>(kMomentBlock, columns - c)};
    if (tensor_->type == Type::F32) {
      step_block(step, block, gradient + c, reinterpret_cast<float*>(weights) + c);
      continue;
    }
    auto* halves = reinterpret_cast<uint16_t*>(weights) + c;
    float floats[kMomentBlock];
    for (uint64_t i = 0; i < block.n; ++i) floats[i] = bf16_to_f32(halves[i]);
    step_block(step, block, gradient + c, floats);
    kernels().round_by_chance(floats, static_cast<int64_t>(block.n),
                              block.chance(step.of_all, place_, 0), halves);
  }
}

void OptimizerState::step_block(const Step& step, const Block& block, const float* gradient,
                                float* weights) const {
  const auto n = static_cast<int64_t>(block.n);
  const AdamRates& r = step.adam;
  if (optimizer_ == Optimizer::kApollo)
    return plain_step(r.decay, r.rate * r.gradient_scale, gradient, n, weights);
  const uint64_t columns = tensor_->columns();
  auto* first =
      reinterpret_cast<float*>(memory_) + (block.row - rows_.begin) * columns + block.column;
  switch (optimizer_) {
    case Optimizer::kAdamW:
      kernels().adam_step(r, gradient, n, weights, first, first + rows_.size() * columns);
      break;
    case Optimizer::kAdamW8bit:
      step_adam8(step, block, gradient, weights);
      break;
    case Optimizer::kSgd:
      kernels().sgd_step({r.rate, r.decay, r.beta1, r.gradient_scale}, gradient, n, weights, first);
      break;
    case Optimizer::kApollo:
      break;
  }
}

void OptimizerState::step_adam8(const Step& step, const Block& block, const float* gradient,
                                float* weights) const {
  const auto n = static_cast<int64_t>(block.n);
  const uint64_t columns = tensor_->columns(), rows = rows_.size(), blocks = blocks_of(columns);
  const uint64_t row = block.row - rows_.begin;
  auto* scales = reinterpret_cast<float*>(memory_) + row * blocks + block.column / kMomentBlock;
  float *scale_m = scales, *scale_v = scales + rows * blocks;
  uint8_t* codes = memory_ + 2 * rows * blocks * sizeof(float) + row * columns + block.column;
  auto* codes_m = reinterpret_cast<int8_t*>(codes);
  uint8_t* codes_v = codes + rows * columns;
  float m[kMomentBlock], v[kMomentBlock];
  kernels().decode_mean(codes_m, *scale_m, n, m);
  kernels().decode_square(codes_v, *scale_v, n, v);
  kernels().adam_step(step.adam, gradient, n, weights, m, v);
  kernels().encode_mean(m, n, block.chance(step.of_all, place_, 1), codes_m, scale_m);
  kernels().encode_square(v, n, block.chance(step.of_all, place_, 2), codes_v, scale_v);
}

}  // namespace enxuto
