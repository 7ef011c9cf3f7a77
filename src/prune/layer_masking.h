// A layer whose single weights go: the second moments of what its matrices read, their values, and
// the matrices in the layer's place while text is run.
#pragma once

#include <array>
#include <optional>

#include "compress/workbench.h"
#include "prune/fit_texts.h"
#include "prune/kept.h"
#include "prune/weight_masks.h"

namespace enxuto {

struct MaskRequest {
  MaskMethod method = MaskMethod::kSparseGpt;
  MaskPattern pattern;
  bool sparse = false;  // zeros are not stored, where that is smaller
  bool owl = false;     // each layer has its own share, by its outliers
};

// Of one kind of matrix, in all layers.
struct MaskedKind {
  const char* kind;
  uint64_t zeros = 0, weights = 0;
  uint64_t source_bytes = 0, bytes = 0;  // of the matrices in the files
};

// Zeros have to survive in the file: kUsage where a matrix is not of floats, or where a pattern's
// groups do not divide its inputs.
Status can_be_masked(const Model& model, const MaskRequest& request);
// What the matrices are written in where that is not the source's format.
Formats masked_formats(const Model& model, const MaskRequest& request);

class LayerMasking {
 public:
  // Room for any layer, at the beginning of a stage.
  static Result<LayerMasking> create(const Workbench& bench, const Dense& dense,
                                     const MaskRequest& request);
  // Of the layer, which is held, as the texts before it say.
  Result<LayerOutliers> outliers(uint32_t layer, FitTexts& texts);
  // Of the layers from now on.
  void set_share(double share) { request_.pattern.share = share; }
  // Looks at the texts before the layer, which is held, and masks all its matrices.
  Status mask(uint32_t layer, FitTexts& texts);
  // Text meets what the matrices have become.
  ForwardHooks hooks() const;
  void put_values(KeptLayer& kept) const;
  // Of all layers so far; those that the model has.
  std::vector<MaskedKind> kinds() const;

 private:
  struct Matrix {
    size_t kind;
    const Tensor* tensor;
    std::span<float> values;
    MatrixView view;
    MaskedMatrix weights() const { return {values, view.rows, view.columns}; }
  };
  struct Input {
    std::optional<Covariance> covariance;
    std::vector<Matrix> readers;
  };
  static constexpr size_t kKinds = 8;
  LayerMasking(const Workbench& bench, const Dense& dense, const MaskRequest& request);
  void open(uint32_t layer);
  Status look(uint32_t layer, FitTexts& texts);
  Result<std::vector<float>> energies_of(const Input& input) const;
  void see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens);
  Status mask_readers(Input& input);
  void count(const Matrix& matrix);

  const Workbench& bench_;
  Dense dense_;
  MaskRequest request_;
  Formats formats_;
  std::span<float> memory_, scratch_;
  std::vector<Input> inputs_;
  std::array<MaskedKind, kKinds> kinds_;
};

}  // namespace enxuto
