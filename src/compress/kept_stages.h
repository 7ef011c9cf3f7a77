// What calibration and probing leave in a state folder, layer by layer. Where there is none, all of
// it does nothing.
#pragma once

#include <span>
#include <vector>

#include "compress/column_scales.h"
#include "compress/importance.h"
#include "compress/workbench.h"

namespace enxuto {

// Of calibration: what the inputs of a layer carry, and their scales. Its covariances are kept
// before.
Status keep_inputs(const Workbench& bench, uint32_t layer, const std::vector<const Tensor*>& inputs,
                   const Importance& importance, ColumnScales& scales);
// Importance that was brought stays as it is.
Status take_inputs(const Workbench& bench, uint32_t layer, const std::vector<const Tensor*>& inputs,
                   Importance& importance, ColumnScales& scales);
// The layer at which it goes on; n_layers + 1: all are there.
Result<uint32_t> first_to_calibrate(const Workbench& bench);

// Hidden states of a stage as they are before a layer: `which` of them, the first `floats` of each.
// They replace those before the last layer at once.
Status keep_states(const Workbench& bench, const char* record, uint32_t layer, HiddenStates& states,
                   std::span<const size_t> which, uint64_t floats);
Status take_states(const Workbench& bench, const char* record, HiddenStates& states,
                   std::span<const size_t> which, uint64_t floats);
Status forget_states(const Workbench& bench, const char* record);
// The layer they are before; 0: there are none.
Result<uint32_t> layer_of_states(const Workbench& bench, const char* record);

}  // namespace enxuto
