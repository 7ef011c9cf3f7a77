#include "infer/low_rank_weights.h"

#include <algorithm>

#include "kernels/shared_product.h"
#include "models/finite.h"
#include "plan/plan.h"

namespace enxuto {
namespace {

Status check_finite(std::span<const float> values, const Tensor& tensor) {
  return all_finite(values) ? Status() : not_finite(tensor);
}

// The numbers of a pair from their file.
Status decode(const Model& model, const Adapter& adapter, const LowRank& pair, std::span<float> a,
              std::span<float> b) {
  pair.a->codec().decode(pair.a->data.data(), a.data(), a.size());
  decode_b(model, adapter, pair, b.data());
  TRY(check_finite(a, *pair.a));
  return check_finite(b, *pair.b);
}

}  // namespace

void LowRankMatrix::down(const KernelTable& k, ThreadTeam& team, const float* x, int64_t n,
                         float* low) const {
  std::fill_n(low, n * rank, 0.0f);
  add_product(k, team, {n, rank, columns, scale, x, columns, a, columns, true, low, rank});
}

void LowRankMatrix::up(const KernelTable& k, ThreadTeam& team, const float* low, int64_t n,
                       float* y) const {
  add_product(k, team, {n, rows, rank, 1, low, rank, b, rank, true, y, rows});
}

void LowRankMatrix::up_back(const KernelTable& k, ThreadTeam& team, const float* dy, int64_t n,
                            float* dlow) const {
  std::fill_n(dlow, n * rank, 0.0f);
  add_product(k, team, {n, rank, rows, scale, dy, rows, b, rank, false, dlow, rank});
}

void LowRankMatrix::down_back(const KernelTable& k, ThreadTeam& team, const float* dlow, int64_t n,
                              float* dx) const {
  add_product(k, team, {n, columns, rank, 1, dlow, rank, a, columns, false, dx, columns});
}

Result<LowRankWeights> LowRankWeights::open(const Model& model,
                                            std::shared_ptr<const Adapter> adapter, Arena& arena) {
  LowRankWeights weights;
  if (!adapter) return weights;
  weights.first_ = model.tensors.data();
  weights.matrices_.resize(model.tensors.size());
  for (const LowRank& pair : adapter->pairs) {
    LowRankMatrix& matrix = weights.matrices_[static_cast<size_t>(pair.w - weights.first_)];
    matrix.rank = static_cast<int64_t>(pair.rank());
    matrix.columns = static_cast<int64_t>(pair.w->columns());
    matrix.rows = static_cast<int64_t>(pair.w->rows());
    matrix.scale = pair.scale;
    if (adapter->files.empty()) {
      matrix.a = reinterpret_cast<const float*>(pair.a->data.data());
      matrix.b = reinterpret_cast<const float*>(pair.b->data.data());
      continue;
    }
    ASSIGN_OR_RETURN(const auto a, arena.take<float>(owner::kAdapter, pair.a->count()));
    ASSIGN_OR_RETURN(const auto b, arena.take<float>(owner::kAdapter, pair.b->count()));
    TRY(decode(model, *adapter, pair, a, b));
    matrix.a = a.data(), matrix.b = b.data();
    for (const auto& file : adapter->files) file->let_go();
  }
  weights.adapter_ = std::move(adapter);
  return weights;
}

}  // namespace enxuto
