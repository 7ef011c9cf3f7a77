// Heads or channels of one layer on their way out: the second moments of what reads them, its
// values, and the matrix in its place while text is run; where it has a bias, that too: it makes up
// for the mean of what goes, and the columns that stay for the rest.
#pragma once

#include <optional>

#include "compress/covariance.h"
#include "compress/workbench.h"
#include "prune/column_removal.h"
#include "prune/kept.h"

namespace enxuto {

enum class Part { kAttention, kFfn };

class PartRemoval {
 public:
  // Room for the part of any layer, at the beginning of a stage; scratch is shared by both parts.
  // compares: compare() will be called.
  static Result<PartRemoval> create(const Workbench& bench, const Dense& dense, Part part,
                                    bool compares = false);
  static Result<std::span<float>> take_scratch(const Workbench& bench);

  // Of a layer, of no tokens yet. The part must be there.
  void open(uint32_t layer);
  // To be called with each input of the layer's matrices.
  void see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens);
  // Of the pass that was seen last: what its tokens have become, and what they would have become in
  // the whole model, (n, width) each. The part then makes up for some of the difference.
  void compare(const float* out, const float* whole, int64_t n_tokens);
  // Reads the values; from here on units can go.
  Status start(std::span<float> scratch);
  ColumnRemoval& removal() { return *removal_; }
  // Removes units until `count` of them are left, and says what that loses in all.
  double keep(int64_t count);
  // The values are the source's again, but for columns that are gone: nothing makes up for them.
  Status forget_the_fit();
  // All of them are gone: nothing but zeros. Of a matrix without a bias.
  void clear();
  const Tensor& tensor() const { return *tensor_; }
  // What text meets in this tensor's place; null: the tensor itself.
  const MatrixView* replacement(const Tensor& tensor) const;
  void put_values(KeptLayer& kept) const;
  // Heads (with what they share) or channels that the layer has.
  int64_t units() const;

 private:
  PartRemoval(const Workbench& bench, const Dense& dense, Part part)
      : bench_(bench), dense_(dense), part_(part) {}
  Status take_means();
  void fit_bias();
  std::vector<double> mean_output() const;

  const Workbench& bench_;
  const Dense& dense_;
  Part part_;
  std::span<float> covariance_memory_, values_memory_, moments_memory_, seen_memory_;
  const Tensor* tensor_ = nullptr;
  int64_t unit_ = 1;
  std::optional<Covariance> covariance_;
  std::vector<float> token_weights_;  // of the pass seen last, whose inputs are in seen_memory_
  std::span<float> moments_;          // of differences and inputs
  bool compared_ = false;
  std::optional<ColumnRemoval> removal_;
  std::span<float> values_;
  MatrixView view_{};
  const Tensor* bias_ = nullptr;        // of this matrix; null: none
  std::vector<double> sums_, missing_;  // weighted sums: of inputs, of what is missing
  std::vector<double> wanted_;          // means of the output
  std::vector<float> bias_values_;
  MatrixView bias_view_{};
};

// Text meets what these parts have become.
ForwardHooks replacing(std::vector<const PartRemoval*> parts);

}  // namespace enxuto
