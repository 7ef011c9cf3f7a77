#include "plan/export_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/hf_export.h"
#include "plan/compression_plan.h"

namespace enxuto {
namespace {

// Merges of SentencePiece's tokens, of which there are about two for each: measured 12 bytes each.
constexpr uint64_t kMergeBytes = 32;

}  // namespace

Result<MemoryMap> plan_export(const Model& model, int n_threads) {
  ASSIGN_OR_RETURN(const uint64_t file, whole_file_bytes(model));
  InferenceRequest least;
  least.context = least.batch = 1;
  least.n_threads = n_threads;
  ASSIGN_OR_RETURN(const MemoryMap session, plan_inference(model, least));
  MemoryPart vocabulary = *session.find(owner::kVocabulary);
  vocabulary.bytes += kMergeBytes * model.hyper.vocabulary;
  return MemoryMap{{{owner::kWeights, std::min(kExportWindow, file),
                     "of the file, given back as it is read", "while it runs", PartKind::kMapped},
                    {owner::kWorking, export_working_bytes(model),
                     fmt::format("{} rows, as f32 and as they are written", kExportedRows),
                     "while it runs", PartKind::kArena},
                    vocabulary,
                    *session.find(owner::kProcess)}};
}

}  // namespace enxuto
