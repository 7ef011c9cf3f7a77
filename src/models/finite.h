// Damaged weights: a NaN or an infinity where numbers belong. Nothing that computes looks for them;
// whoever finds that a model makes no numbers, or is about to compress it, asks here.
#pragma once

#include <span>

#include "models/model.h"
#include "platform/threads.h"

namespace enxuto {

bool all_finite(std::span<const float> values);
bool all_finite(const Tensor& tensor, ThreadTeam& team);  // reads all of it
Status not_finite(const Tensor& tensor);                  // kBadInput

// Of a model whose results are no numbers: reads its weights and names the one that is damaged.
Status explain_no_numbers(const Model& model, ThreadTeam& team);

}  // namespace enxuto
