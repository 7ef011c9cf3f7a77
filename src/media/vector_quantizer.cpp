#include "media/vector_quantizer.h"

#include <algorithm>
#include <cmath>

#include "data/shuffled_order.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr int kRounds = 24;        // of k-means; it has settled by then
constexpr size_t kTogether = 256;  // vectors whose products with all codes are alive

std::vector<float> half_squares_of(std::span<const float> codebook, uint32_t dimensions) {
  std::vector<float> halves(codebook.size() / dimensions);
  for (size_t i = 0; i < halves.size(); ++i)
    for (const float value : codebook.subspan(i * dimensions, dimensions))
      halves[i] += value * value / 2;
  return halves;
}

}  // namespace

std::span<const float> VectorQuantizer::codebook(uint32_t stage) const {
  const size_t size = size_t{n_codes_} * dimensions_;
  return std::span(codebooks_).subspan(stage * size, size);
}

void VectorQuantizer::add_stage(std::span<const float> codebook) {
  codebooks_.insert(codebooks_.end(), codebook.begin(), codebook.end());
  const std::vector<float> halves = half_squares_of(codebook, dimensions_);
  half_squares_.insert(half_squares_.end(), halves.begin(), halves.end());
  n_stages_++;
}

Result<VectorQuantizer> VectorQuantizer::learn(std::span<const float> vectors, uint32_t dimensions,
                                               uint32_t n_codes, uint32_t n_stages, uint64_t seed,
                                               const Progress& progress) {
  ASSIGN_OR_RETURN(const Dense dense, Dense::load());
  VectorQuantizer quantizer(dense, dimensions, n_codes);
  std::vector<float> left(vectors.begin(), vectors.end());
  std::vector<uint32_t> codes(left.size() / dimensions);
  for (uint32_t stage = 0; stage < n_stages; ++stage) {
    ASSIGN_OR_RETURN(const std::vector<float> codebook,
                     quantizer.k_means(left, seed + stage, progress));
    quantizer.add_stage(codebook);
    quantizer.code_stage(stage, left, codes);
  }
  return quantizer;
}

Result<VectorQuantizer> VectorQuantizer::of(std::vector<float> codebooks, uint32_t dimensions,
                                            uint32_t n_codes) {
  const size_t size = size_t{n_codes} * dimensions;
  if (size == 0 || codebooks.empty() || codebooks.size() % size != 0)
    return Status::bad_input("codebooks of another size than the file says");
  if (!std::ranges::all_of(codebooks, [](float value) { return std::isfinite(value); }))
    return Status::bad_input("codebooks of what are no numbers");
  ASSIGN_OR_RETURN(const Dense dense, Dense::load());
  VectorQuantizer quantizer(dense, dimensions, n_codes);
  for (size_t at = 0; at < codebooks.size(); at += size)
    quantizer.add_stage(std::span(codebooks).subspan(at, size));
  return quantizer;
}

// The code c with the least |v - c|^2, that is with the most v c - |c|^2 / 2; the first of equals.
void VectorQuantizer::nearest(std::span<const float> vectors, std::span<const float> codebook,
                              std::span<const float> half_squares,
                              std::span<uint32_t> codes) const {
  std::vector<float> products(std::min(kTogether, codes.size()) * n_codes_);
  for (size_t begin = 0; begin < codes.size(); begin += kTogether) {
    const size_t n = std::min(kTogether, codes.size() - begin);
    dense_.multiply(static_cast<int64_t>(n), n_codes_, dimensions_, 1,
                    {vectors.data() + begin * dimensions_, dimensions_},
                    {codebook.data(), dimensions_, /*transposed=*/true}, 0, products.data(),
                    n_codes_);
    for (size_t i = 0; i < n; ++i) {
      const float* row = products.data() + i * n_codes_;
      uint32_t best = 0;
      for (uint32_t code = 1; code < n_codes_; ++code)
        if (row[code] - half_squares[code] > row[best] - half_squares[best]) best = code;
      codes[begin + i] = best;
    }
  }
}

// Begins with vectors drawn by chance; a code that nothing is near to begins anew.
Result<std::vector<float>> VectorQuantizer::k_means(std::span<const float> vectors, uint64_t seed,
                                                    const Progress& progress) const {
  const size_t n = vectors.size() / dimensions_;
  const ShuffledOrder order(n, seed);
  uint64_t drawn = 0;
  std::vector<float> codebook(size_t{n_codes_} * dimensions_);
  const auto draw = [&](uint32_t code) {
    std::copy_n(vectors.data() + order[drawn++ % n] * dimensions_, dimensions_,
                codebook.data() + size_t{code} * dimensions_);
  };
  for (uint32_t code = 0; code < n_codes_; ++code) draw(code);
  std::vector<uint32_t> codes(n), members(n_codes_);
  std::vector<double> sums(codebook.size());
  for (int round = 0; round < kRounds; ++round) {
    if (interrupted()) return Status::interrupted();
    if (progress) progress("making a codebook", static_cast<double>(round) / kRounds);
    nearest(vectors, codebook, half_squares_of(codebook, dimensions_), codes);
    members.assign(n_codes_, 0);
    sums.assign(sums.size(), 0);
    for (size_t i = 0; i < n; ++i) {
      members[codes[i]]++;
      for (uint32_t d = 0; d < dimensions_; ++d)
        sums[size_t{codes[i]} * dimensions_ + d] += vectors[i * dimensions_ + d];
    }
    for (uint32_t code = 0; code < n_codes_; ++code) {
      if (members[code] == 0) {
        draw(code);
        continue;
      }
      for (size_t at = size_t{code} * dimensions_; at < (size_t{code} + 1) * dimensions_; ++at)
        codebook[at] = static_cast<float>(sums[at] / members[code]);
    }
  }
  return codebook;
}

void VectorQuantizer::code_stage(uint32_t stage, std::span<float> left,
                                 std::span<uint32_t> codes) const {
  const std::span<const float> book = codebook(stage);
  nearest(left, book, std::span(half_squares_).subspan(size_t{stage} * n_codes_, n_codes_), codes);
  for (size_t i = 0; i < codes.size(); ++i)
    for (uint32_t d = 0; d < dimensions_; ++d)
      left[i * dimensions_ + d] -= book[size_t{codes[i]} * dimensions_ + d];
}

void VectorQuantizer::encode(std::span<const float> vectors, std::span<uint32_t> codes) const {
  std::vector<float> left(vectors.begin(), vectors.end());
  const size_t n = vectors.size() / dimensions_;
  std::vector<uint32_t> of_stage(n);
  for (uint32_t stage = 0; stage < n_stages_; ++stage) {
    code_stage(stage, left, of_stage);
    for (size_t i = 0; i < n; ++i) codes[i * n_stages_ + stage] = of_stage[i];
  }
}

void VectorQuantizer::decode(std::span<const uint32_t> codes, std::span<float> vectors) const {
  std::fill(vectors.begin(), vectors.end(), 0.0f);
  for (size_t i = 0; i < codes.size(); ++i) {
    const float* code =
        codebook(static_cast<uint32_t>(i % n_stages_)).data() + size_t{codes[i]} * dimensions_;
    float* vector = vectors.data() + i / n_stages_ * dimensions_;
    for (uint32_t d = 0; d < dimensions_; ++d) vector[d] += code[d];
  }
}

}  // namespace enxuto
