#include "prune/part_removal.h"

#include <algorithm>

#include "compress/chunk_passes.h"
#include "models/finite.h"
#include "plan/pruning_plan.h"
#include "prune/matrix_values.h"

namespace enxuto {
namespace {

// Of what the layers before have lost. All of it would be chance where text is short.
constexpr float kMadeUpFor = 0.25f;

const Tensor* matrix_of(const LayerWeights& w, Part part) {
  return part == Part::kAttention ? w.attn_output : w.down;
}

const Tensor* bias_of(const LayerWeights& w, Part part) {
  return part == Part::kAttention ? w.attn_output_bias : w.down_bias;
}

uint64_t unit_of(const Model& model, uint32_t layer, Part part) {
  return part == Part::kAttention ? head_group(model, layer) : 1;
}

}  // namespace

Result<PartRemoval> PartRemoval::create(const Workbench& bench, const Dense& dense, Part part,
                                        bool compares) {
  const Model& model = bench.model();
  uint64_t covariance = 0, values = 0, columns = 0;
  for (uint32_t l = 0; l < model.layers.size(); ++l) {
    const Tensor* t = matrix_of(model.layers[l], part);
    if (!t) continue;
    const uint64_t most = removal_block(t->columns(), unit_of(model, l, part));
    covariance = std::max(covariance, *covariance_bytes(t->columns(), most));  // planned, so sane
    values = std::max(values, t->count());
    columns = std::max(columns, t->columns());
  }
  PartRemoval removal(bench, dense, part);
  ASSIGN_OR_RETURN(removal.covariance_memory_, bench.take<float>(covariance / sizeof(float)));
  ASSIGN_OR_RETURN(removal.values_memory_, bench.take<float>(values));
  if (compares) {
    ASSIGN_OR_RETURN(removal.moments_memory_, bench.take<float>(values));
    ASSIGN_OR_RETURN(removal.seen_memory_, bench.take<float>(bench.session.batch() * columns));
  }
  return removal;
}

Result<std::span<float>> PartRemoval::take_scratch(const Workbench& bench) {
  const Model& model = bench.model();
  uint64_t most = 0;
  for (uint32_t l = 0; l < model.layers.size(); ++l)
    for (const Part part : {Part::kAttention, Part::kFfn})
      if (const Tensor* t = matrix_of(model.layers[l], part))
        most = std::max(most, *removal_scratch(t->rows(), t->columns(), unit_of(model, l, part)));
  return bench.take<float>(most);
}

void PartRemoval::open(uint32_t layer) {
  const Model& model = bench_.model();
  removal_.reset();
  tensor_ = matrix_of(model.layers[layer], part_);
  const uint64_t unit = unit_of(model, layer, part_), columns = tensor_->columns();
  const uint64_t most = removal_block(columns, unit);
  unit_ = static_cast<int64_t>(unit);
  covariance_.emplace(dense_, static_cast<int64_t>(columns),
                      covariance_memory_.first(*covariance_bytes(columns, most) / sizeof(float)),
                      most);
  covariance_->clear();
  values_ = values_memory_.first(tensor_->count());
  compared_ = false;
  moments_ = moments_memory_.empty() ? moments_memory_ : moments_memory_.first(tensor_->count());
  std::ranges::fill(moments_, 0.0f);
  view_ = {Type::F32, reinterpret_cast<const uint8_t*>(values_.data()),
           static_cast<int64_t>(tensor_->rows()), static_cast<int64_t>(columns),
           columns * sizeof(float)};
  bias_ = bias_of(model.layers[layer], part_);
  sums_.assign(bias_ ? columns : 0, 0.0);
  missing_.assign(bias_ ? tensor_->rows() : 0, 0.0);
}

void PartRemoval::see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens) {
  if (&tensor != tensor_) return;
  token_weights_ = add_tokens(bench_.session.team(), x, x_stride, n_tokens, *covariance_);
  for (int64_t t = 0; t < n_tokens; ++t)
    for (size_t c = 0; c < sums_.size(); ++c)
      sums_[c] += double{token_weights_[static_cast<size_t>(t)]} * x[t * x_stride + c];
  if (moments_.empty()) return;
  const auto columns = static_cast<int64_t>(tensor_->columns());
  for (int64_t t = 0; t < n_tokens; ++t)
    std::copy_n(x + t * x_stride, columns, seen_memory_.data() + t * columns);
}

void PartRemoval::compare(const float* out, const float* whole, int64_t n_tokens) {
  constexpr int64_t kTile = 128;
  const auto rows = static_cast<int64_t>(tensor_->rows()),
             columns = static_cast<int64_t>(tensor_->columns());
  std::vector<float> missing(static_cast<size_t>(n_tokens * rows));
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t r = 0; r < rows; ++r)
      missing[static_cast<size_t>(t * rows + r)] =
          token_weights_[static_cast<size_t>(t)] * (whole[t * rows + r] - out[t * rows + r]);
  for (int64_t t = 0; t < n_tokens; ++t)
    for (size_t r = 0; r < missing_.size(); ++r)
      missing_[r] += missing[static_cast<size_t>(t * rows) + r];
  bench_.session.team().parallel_for((rows + kTile - 1) / kTile, 1, [&](int64_t i, int64_t, int) {
    const int64_t row = i * kTile;
    dense_.multiply(std::min(kTile, rows - row), columns, n_tokens, 1,
                    {missing.data() + row, rows, true}, {seen_memory_.data(), columns}, 1,
                    moments_.data() + row * columns, columns);
  });
  compared_ = true;
}

Status PartRemoval::start(std::span<float> scratch) {
  std::vector<float> mean(tensor_->columns());
  covariance_->mean_squares(mean);
  if (!all_finite(mean))
    return Status::bad_input("the model overflows on the calibration text",
                             "its weights are damaged: try another file");
  TRY(read_values(bench_, *tensor_, values_));
  if (bias_) TRY(take_means());
  removal_.emplace(bench_.session.team(), *covariance_, values_,
                   static_cast<int64_t>(tensor_->rows()), unit_, scratch);
  if (compared_) removal_->make_up_for(moments_, kMadeUpFor);
  return {};
}

// What inputs and outputs are on the mean is the bias's to give: the columns fit what is left.
Status PartRemoval::take_means() {
  const double tokens = covariance_->tokens();
  const auto columns = tensor_->columns();
  bias_values_.resize(tensor_->rows());
  TRY(read_values(bench_, *bias_, bias_values_));
  bias_view_ = {Type::F32, reinterpret_cast<const uint8_t*>(bias_values_.data()), 1,
                static_cast<int64_t>(bias_values_.size()), bias_values_.size() * sizeof(float)};
  covariance_->center(bench_.session.team(), sums_);
  wanted_ = mean_output();
  for (size_t r = 0; r < wanted_.size(); ++r) {
    wanted_[r] += bias_values_[r];
    if (!compared_) continue;
    wanted_[r] += kMadeUpFor * missing_[r] / tokens;
    for (size_t c = 0; c < columns; ++c)
      moments_[r * columns + c] -= static_cast<float>(missing_[r] * sums_[c] / tokens);
  }
  return {};
}

// Of the matrix as it is, on the tokens that were seen.
std::vector<double> PartRemoval::mean_output() const {
  std::vector<double> mean(tensor_->rows(), 0.0);
  for (size_t r = 0; r < mean.size(); ++r) {
    for (size_t c = 0; c < sums_.size(); ++c) mean[r] += values_[r * sums_.size() + c] * sums_[c];
    mean[r] /= covariance_->tokens();
  }
  return mean;
}

void PartRemoval::fit_bias() {
  if (!bias_) return;
  const std::vector<double> mean = mean_output();
  for (size_t r = 0; r < mean.size(); ++r)
    bias_values_[r] = static_cast<float>(wanted_[r] - mean[r]);
}

double PartRemoval::keep(int64_t count) {
  const double lost = removal_->keep(count);
  fit_bias();
  return lost;
}

Status PartRemoval::forget_the_fit() {
  const std::vector<uint32_t> kept = removal_->kept_columns();
  TRY(read_values(bench_, *tensor_, values_));
  const uint64_t columns = tensor_->columns();
  std::vector<bool> stays(columns, false);
  for (const uint32_t c : kept) stays[c] = true;
  for (uint64_t r = 0; r < tensor_->rows(); ++r)
    for (uint64_t c = 0; c < columns; ++c)
      if (!stays[c]) values_[r * columns + c] = 0;
  return bias_ ? read_values(bench_, *bias_, bias_values_) : Status();
}

void PartRemoval::clear() { std::ranges::fill(values_, 0.0f); }

const MatrixView* PartRemoval::replacement(const Tensor& tensor) const {
  if (&tensor == tensor_) return &view_;
  return &tensor == bias_ ? &bias_view_ : nullptr;
}

void PartRemoval::put_values(KeptLayer& kept) const {
  kept.values[tensor_] = values_;
  if (bias_) kept.values[bias_] = bias_values_;
}

ForwardHooks replacing(std::vector<const PartRemoval*> parts) {
  ForwardHooks hooks;
  hooks.replacement = [parts = std::move(parts)](const Tensor& tensor) -> const MatrixView* {
    for (const PartRemoval* part : parts)
      if (const MatrixView* other = part->replacement(tensor)) return other;
    return nullptr;
  };
  return hooks;
}

int64_t PartRemoval::units() const { return static_cast<int64_t>(tensor_->columns()) / unit_; }

}  // namespace enxuto
