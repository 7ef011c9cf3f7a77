// Rows of weights, wherever they lie: in the mapped file where the plan says that the weights fit,
// else read past the page cache into a buffer of ours.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "memory/arena.h"
#include "models/model.h"
#include "plan/compression_plan.h"
#include "platform/direct_file.h"

namespace enxuto {

class TensorReader {
 public:
  static Result<std::unique_ptr<TensorReader>> open(const Model& model, const CompressionPlan& plan,
                                                    Arena& arena);

  // Rows [first, first + n) as a tensor of their own, valid until the next call; n is at most
  // rows_at_once(tensor).
  Result<Tensor> rows(const Tensor& tensor, uint64_t first, uint64_t n);
  uint64_t at_once(const Tensor& tensor) const { return rows_at_once(model_, tensor); }

  // body(first, rows) for all rows, in pieces; it answers with a Status.
  template <class Body>
  Status for_pieces(const Tensor& tensor, const Body& body) {
    for (uint64_t first = 0; first < tensor.rows(); first += at_once(tensor)) {
      const uint64_t n = std::min(at_once(tensor), tensor.rows() - first);
      ASSIGN_OR_RETURN(const Tensor piece, rows(tensor, first, n));
      TRY(body(first, piece));
    }
    return {};
  }

 private:
  explicit TensorReader(const Model& model) : model_(model) {}
  const Model& model_;
  std::vector<std::unique_ptr<DirectFile>> files_;  // none: the weights are mapped
  std::span<uint8_t> buffer_;
};

}  // namespace enxuto
