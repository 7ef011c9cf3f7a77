#include "plan/merge_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/compression_plan.h"
#include "plan/pieces.h"

namespace enxuto {

Result<MergeLayout> lay_out_merge(const Adapter& adapter) {
  uint64_t a = 0, b = 0, columns = 0, row_bytes = 0;
  for (const LowRank& pair : adapter.pairs) {
    a = std::max(a, pair.a->count());
    b = std::max(b, pair.b->count());
    columns = std::max(columns, pair.w->columns());
    row_bytes = std::max(row_bytes, pair.w->row_bytes());
  }
  MergeLayout l{};
  Pieces pieces;
  l.a = pieces.next(floats(1, a));
  l.b = pieces.next(floats(1, b));
  l.values = pieces.next(floats(kMergedRows, columns));
  l.changes = pieces.next(floats(kMergedRows, columns));
  l.encoded = pieces.next(checked_mul(kMergedRows, row_bytes));
  l.bytes = pieces.end();
  if (pieces.absurd())
    return Status::does_not_fit("merging this takes more bytes than can be counted");
  return l;
}

Result<MemoryMap> plan_merge(const Model& model, const Adapter& adapter, int n_threads) {
  ASSIGN_OR_RETURN(const MergeLayout l, lay_out_merge(adapter));
  ASSIGN_OR_RETURN(const uint64_t file, whole_file_bytes(model));
  InferenceRequest least;
  least.context = least.batch = 1;
  least.n_threads = n_threads;
  ASSIGN_OR_RETURN(const MemoryMap session, plan_inference(model, least));
  return MemoryMap{{{owner::kWeights, std::min(kMergeWindow, file),
                     "of the file, given back as it is read", "while it runs", PartKind::kMapped},
                    {owner::kWorking, l.bytes,
                     fmt::format("{} rows, and the adapter of one matrix, f32", kMergedRows),
                     "while it runs", PartKind::kArena},
                    *session.find(owner::kVocabulary),
                    *session.find(owner::kProcess)}};
}

}  // namespace enxuto
