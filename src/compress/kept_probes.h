// What probing leaves in a state folder: its result, and the sums over the head's first rows. Its
// hidden states are kept_stages'.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "compress/head_divergence.h"
#include "compress/workbench.h"

namespace enxuto {

// KL divergences, one for each weight; nothing where they are not known yet.
using Klds = std::optional<std::vector<double>>;
Result<Klds> take_klds(const Workbench& bench, size_t n_weights);
// In place of all else that probing left.
Status keep_klds(const Workbench& bench, std::span<const double> klds);

// rows: how many of the head the sums are over; 0 where there are none.
Status keep_sums(const Workbench& bench, uint64_t rows, std::span<const ReferenceRow> references,
                 std::span<const DisturbedRow> disturbed);
Result<uint64_t> take_sums(const Workbench& bench, std::span<ReferenceRow> references,
                           std::span<DisturbedRow> disturbed);

}  // namespace enxuto
