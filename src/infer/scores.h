// What one row of logits says about the token that followed, and how far it is from a reference's.
#pragma once

#include <span>
#include <vector>

#include "infer/evaluate.h"

namespace enxuto {

struct RowScore {
  double nll = 0;            // -log p(token), nats
  double reference_nll = 0;  // the three below with a reference only
  double kld = 0;            // KL(reference || model)
  bool same_top = false;
};

// reference: empty, or as long as logits.
RowScore score_row(std::span<const float> logits, std::span<const float> reference, Token token);

// Means, errors and percentiles of all rows. Does not set chunks and seconds.
Evaluation summarize(const std::vector<RowScore>& rows, bool compared);

}  // namespace enxuto
