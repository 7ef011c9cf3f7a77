// Fewer parts or fewer bits: what of both makes the better file of so many bytes. Compresses the
// model, and where measurements predict that it pays a pruned model too, judges both on text that
// neither was fitted on, and keeps the better one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compress/compress.h"
#include "prune/prune.h"

namespace enxuto {

struct WeighedShare {
  double share;          // of the layers' bytes that goes; 0: none
  double predicted_kld;  // nats, of pruning and rounding together
};

struct PruningChoice {
  std::vector<WeighedShare> weighed;  // only those that the size allows
  double tried_share = 0;             // that a file was made of; 0: none was
  double share = 0;                   // of the file that was kept
  // Measured on text held out; 0: there was nothing to compare, or no text to do it on.
  double kld_pruned = 0, kld_unpruned = 0;
  uint64_t judged_tokens = 0;
};

struct ChosenCompression {
  CompressReport report;               // of the file that was kept; its curve is the source's
  std::shared_ptr<const Model> model;  // whose weights it has: the source, or that pruned
  PruningChoice choice;
};

// Why pruning cannot be weighed; OK where it can.
Status can_prune_and_compress(const Model& model);

// request: without an importance matrix and for_speed. Of the state folder the source's
// measurements make use, a pruned model's do not. The announced map is that of the phase that takes
// most.
Result<ChosenCompression> prune_and_compress(std::shared_ptr<const Model> model,
                                             const std::string& output_path,
                                             const CompressRequest& request,
                                             const Progress& progress);

// In [curve.points.front(), …): between points in logarithms; nothing below the smallest file.
std::optional<double> kld_at(const Curve& curve, double bytes);

}  // namespace enxuto
