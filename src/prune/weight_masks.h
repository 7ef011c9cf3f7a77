// Single weights of a matrix that become zero: which, and what the others become to make up for
// them where the method does that.
//
//   random     of each row, by lot
//   magnitude  of each row the smallest
//   Wanda      of each row those with the least |w_ij| * |x_j|, x_j the column's input over all
//              tokens (Sun et al., 2024)
//   SparseGPT  of 128 columns at a time, all rows together, those with the least w^2 / [H^-1]_jj
//              given the columns before; what one's absence does to the outputs is made up for by
//              the weights after it (Frantar & Alistarh, 2023)
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "compress/covariance.h"
#include "platform/threads.h"

namespace enxuto {

enum class MaskMethod { kSparseGpt, kWanda, kMagnitude, kRandom };

// Of each `group` neighbouring inputs of a row `kept` stay; without a group, a share of all goes.
struct MaskPattern {
  double share = 0;
  uint32_t kept = 0, group = 0;
};

// Columns that SparseGPT chooses among at once; the groups of a pattern divide it.
inline constexpr int64_t kMaskColumns = 128;

// How many of n weights go.
int64_t masked_of(const MaskPattern& pattern, int64_t n);

struct MaskedMatrix {
  std::span<float> weights;  // (rows, columns)
  int64_t rows, columns;
};

void mask_by_magnitude(ThreadTeam& team, const MaskedMatrix& matrix, const MaskPattern& pattern);
// energies: sums of squares of each column's input.
void mask_by_wanda(ThreadTeam& team, const MaskedMatrix& matrix, std::span<const float> energies,
                   const MaskPattern& pattern);
// The same weights for the same name, whatever the number of threads.
void mask_by_lot(ThreadTeam& team, const MaskedMatrix& matrix, std::string_view name,
                 const MaskPattern& pattern);

// Of Wanda's scores of all weights: their sum, and how many are above a bound.
double sum_of_scores(ThreadTeam& team, const MaskedMatrix& matrix, std::span<const float> energies);
uint64_t scores_above(ThreadTeam& team, const MaskedMatrix& matrix, std::span<const float> energies,
                      double bound);

// Outlier-weighed layerwise sparsity (OWL; Yin et al., 2024). A layer's outliers are the share of
// its weights whose score is more than kOutlier times the mean of them all; the more it has, the
// fewer of its weights go. Shares differ by twice kOwlSpread at most (less where there is no room
// for that), and go together to `share` of all weights.
struct LayerOutliers {
  double share;
  uint64_t weights;
};
inline constexpr double kOutlier = 5, kOwlSpread = 0.08;
std::vector<double> shares_by_outliers(std::span<const LayerOutliers> layers, double share);

// A covariance on its way to mask_by_sparsegpt: damped by 1 % and factored, each block's triangle
// inverted. Once for all matrices that share the input. panel: triangle_scratch() floats of the
// largest block.
void prepare_sparsegpt(ThreadTeam& team, Covariance& covariance, float* panel);
// Each diagonal block of the inputs by itself. scratch: 2 * rows * kMaskColumns floats.
void mask_by_sparsegpt(ThreadTeam& team, const MaskedMatrix& matrix, const Covariance& prepared,
                       const MaskPattern& pattern, std::span<float> scratch);

}  // namespace enxuto
