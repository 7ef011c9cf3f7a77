// What adding an adapter into a model's weights takes: one matrix's adapter, and a few rows.
#pragma once

#include "memory/memory_map.h"
#include "models/adapter.h"

namespace enxuto {

// Rows that are decoded, changed and encoded at once, shared among threads.
inline constexpr uint64_t kMergedRows = 64;
// Of the mapped file, looked at before its pages are given back; half of it as it is counted, since
// reading ahead brings more than was asked for.
inline constexpr uint64_t kMergeWindow = 16 << 20;

struct MergeLayout {  // in bytes
  uint64_t a, b, values, changes, encoded, bytes;
};
// kDoesNotFit where a size is beyond reason.
Result<MergeLayout> lay_out_merge(const Adapter& adapter);
Result<MemoryMap> plan_merge(const Model& model, const Adapter& adapter, int n_threads);

}  // namespace enxuto
