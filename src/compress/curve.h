// Quality against bytes: the allocation at many sizes of the file, after one measurement; and, to
// compare with, files of one format for all weights (plan/format_mix.h), their weights rounded as
// compress rounds and priced by the same measurement.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "compress/allocate.h"
#include "compress/weights.h"

namespace enxuto {

struct FormatUse {
  Type type;
  uint64_t parameters;
};

// What a compression to target_bytes would write.
struct CurvePoint {
  uint64_t target_bytes, file_bytes;
  double predicted_kld;            // nats
  std::vector<FormatUse> formats;  // of the weights that may change; most parameters first
};

struct MixPoint {
  std::string mix;  // "Q4_K"
  uint64_t file_bytes;
  double predicted_kld;
  double allocated_kld;  // of the allocation at the same bytes
};

struct Curve {
  std::vector<CurvePoint> points;  // bytes ascend, predicted_kld descends
  std::vector<MixPoint> mixes;     // most bytes first; only those that the menus allow
};

// What is known of each weight, side by side, and the bytes of all that stays as it is.
struct PricedWeights {
  const std::vector<Weight>& weights;
  const std::vector<std::vector<Type>>& menus;
  const std::vector<Choices>& choices;
  uint64_t fixed_bytes;
};

// Sizes from the smallest file to the largest useful one (every weight in its best format short of
// floats), those of the mixes, and `target_bytes`, not below the smallest, where it is not 0. A
// size whose file would be no better than a smaller one is left out.
Result<Curve> solve_curve(const PricedWeights& priced, uint64_t target_bytes,
                          const Progress& progress);

}  // namespace enxuto
