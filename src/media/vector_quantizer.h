// Vectors as codes: stages of codebooks, each of which is a k-means of what the one before left
// (residual vector quantization: Juang & Gray, 1982).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "kernels/dense.h"

namespace enxuto {

class VectorQuantizer {
 public:
  // vectors: (n, dimensions). The same vectors and seed: the same codebooks. kInterrupted.
  static Result<VectorQuantizer> learn(std::span<const float> vectors, uint32_t dimensions,
                                       uint32_t n_codes, uint32_t n_stages, uint64_t seed,
                                       const Progress& progress);
  // Codebooks as codebooks() gives them: (n_stages, n_codes, dimensions).
  static Result<VectorQuantizer> of(std::vector<float> codebooks, uint32_t dimensions,
                                    uint32_t n_codes);

  uint32_t n_codes() const { return n_codes_; }  // of a stage
  uint32_t n_stages() const { return n_stages_; }
  std::span<const float> codebooks() const { return codebooks_; }

  // codes: (n, n_stages)
  void encode(std::span<const float> vectors, std::span<uint32_t> codes) const;
  void decode(std::span<const uint32_t> codes, std::span<float> vectors) const;

 private:
  VectorQuantizer(Dense dense, uint32_t dimensions, uint32_t n_codes)
      : dense_(dense), dimensions_(dimensions), n_codes_(n_codes) {}
  std::span<const float> codebook(uint32_t stage) const;
  void add_stage(std::span<const float> codebook);
  void nearest(std::span<const float> vectors, std::span<const float> codebook,
               std::span<const float> half_squares, std::span<uint32_t> codes) const;
  // The codes of `left`, which are taken off it.
  void code_stage(uint32_t stage, std::span<float> left, std::span<uint32_t> codes) const;
  Result<std::vector<float>> k_means(std::span<const float> vectors, uint64_t seed,
                                     const Progress& progress) const;

  Dense dense_;
  uint32_t dimensions_, n_codes_, n_stages_ = 0;
  std::vector<float> codebooks_;
  std::vector<float> half_squares_;  // of each code's length, (n_stages, n_codes)
};

}  // namespace enxuto
