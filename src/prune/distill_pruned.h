// What a pruned model has lost, learned again: it trains on a text, a bounded number of its tokens,
// against the model that it was made from (train/teacher.h). All weights move where the memory has
// room for that, else a low-rank adapter that is merged in. The file has the same tensors in the
// same formats, and so the same bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "models/model.h"
#include "plan/compression_plan.h"
#include "plan/training.h"

namespace enxuto {

struct DistillReport {
  uint64_t steps = 0, tokens = 0;  // made, and seen
  bool of_adapter = false;         // an adapter learned, not the weights
  double kld_before = 0, kld = 0;  // from the whole model, nats, on text held out
  bool better() const { return kld < kld_before; }
};

// How the memory lets a model so large learn from the text: the first of AdamW, its moments in 8
// bits, weights in bf16 too, and an adapter that fits; kDoesNotFit where none does. A pruned model
// takes less. kUsage where the text is too short.
Result<TrainingRequest> choose_distillation(const Model& whole, std::string_view text,
                                            int n_threads, uint64_t memory_bytes);

struct DistillTask {
  std::string_view text;
  Effort effort = Effort::kNormal;  // how much of it
  TrainingRequest training;
  uint64_t memory_bytes = 0;  // that the whole model may take, before; 0: no limit
  bool replace_output = false;
};

// Writes what the pruned model has become; where that is no nearer to the whole model on text held
// out, nothing. The text's tokens and what the whole model says of them lie beside the output for a
// while.
Result<DistillReport> distill_pruned(std::shared_ptr<const Model> whole,
                                     std::shared_ptr<const Model> pruned, const DistillTask& task,
                                     const std::string& output_path, const Progress& progress);

}  // namespace enxuto
