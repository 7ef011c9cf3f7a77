// An adapter's numbers as floats, where the forward pass finds them by the matrix they belong to.
#pragma once

#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "memory/arena.h"
#include "models/adapter.h"
#include "platform/threads.h"

namespace enxuto {

// y += scale (x a') b'; rank 0: nothing.
struct LowRankMatrix {
  const float *a = nullptr, *b = nullptr;  // (rank, columns), (rows, rank)
  int64_t rank = 0, columns = 0, rows = 0;
  float scale = 0;

  // low (n, rank) = scale x a'
  void down(const KernelTable& k, ThreadTeam& team, const float* x, int64_t n, float* low) const;
  // y (n, rows) += low b'
  void up(const KernelTable& k, ThreadTeam& team, const float* low, int64_t n, float* y) const;
  // The same ways back: dlow (n, rank) = scale dy b, the gradient by x a'; dx (n, columns) += dlow
  // a
  void up_back(const KernelTable& k, ThreadTeam& team, const float* dy, int64_t n,
               float* dlow) const;
  void down_back(const KernelTable& k, ThreadTeam& team, const float* dlow, int64_t n,
                 float* dx) const;
};

class LowRankWeights {
 public:
  LowRankWeights() = default;
  // adapter: null: there is none. One that lies in memory is used there, and may change; one of a
  // file is decoded into the arena's part. kBadInput where a number of it is none.
  static Result<LowRankWeights> open(const Model& model, std::shared_ptr<const Adapter> adapter,
                                     Arena& arena);

  bool empty() const { return !adapter_; }
  // Null: nothing is added to what w gives.
  const LowRankMatrix* find(const Tensor& w) const {
    if (!adapter_) return nullptr;
    const LowRankMatrix& matrix = matrices_[static_cast<size_t>(&w - first_)];
    return matrix.rank ? &matrix : nullptr;
  }

 private:
  std::shared_ptr<const Adapter> adapter_;
  const Tensor* first_ = nullptr;        // of the model's
  std::vector<LowRankMatrix> matrices_;  // by the place of w in the model
};

}  // namespace enxuto
