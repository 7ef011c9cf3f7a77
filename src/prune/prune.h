// A model with fewer heads, channels, experts, blocks or tokens, or with zeros: measure what each
// is worth, choose what goes, let what stays make up for it, write. Output is a GGUF file that
// stock llama.cpp runs (not where zeros are left out of it).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "memory/memory_map.h"
#include "models/model.h"
#include "plan/pruning_plan.h"
#include "prune/distill_pruned.h"
#include "prune/expert_choice.h"
#include "prune/kept.h"
#include "prune/layer_masking.h"

namespace enxuto {

enum class PruneWhat { kAuto, kBlocks, kHeads, kChannels, kExperts, kVocabulary, kWeights };

// What it would cost to take out a part of the layers' bytes.
struct ShareCost {
  double share;
  double kld;           // predicted, nats
  uint64_t parameters;  // that the model would have
};

struct PruneRequest {
  PruneWhat what = PruneWhat::kAuto;
  // One of these: the part of the layers' bytes (of the experts, of the vocabulary's tokens) that
  // goes; most bytes of the file; how many times faster a token is to be decoded, by the bytes that
  // it reads. Of the vocabulary none: those go that such text hardly needs.
  double remove = 0;
  uint64_t size_bytes = 0;
  double speedup = 0;
  MaskRequest masks;  // single weights go: which, and how many of them
  // In place of those three: the costs of these shares are measured, and the one goes that
  // choose_share answers with (which of those it is told); nothing: no file is written.
  std::vector<double> shares;
  std::function<std::optional<size_t>(const std::vector<ShareCost>& costs)> choose_share;
  bool uniform = false;          // all layers stay as wide as each other
  bool recover = true;           // what stays makes up for what goes
  bool distill = false;          // and learns the rest of the whole model, by training
  std::string calibration_text;  // empty: the built-in one
  Effort effort = Effort::kNormal;
  int n_threads = 1;
  uint64_t memory_bytes = 0;  // that it may take; 0: no limit
  bool replace_output = false;
  std::function<void(const std::string&)> notice;
  // Told what the work will take, once it is sure to be done, before it starts; may be empty.
  std::function<void(const MemoryMap& map)> announce;
};

struct PruneReport {
  uint64_t source_bytes = 0, file_bytes = 0;         // file_bytes 0: nothing was written
  uint64_t source_layer_bytes = 0, layer_bytes = 0;  // of all layers
  uint64_t source_token_bytes = 0, token_bytes = 0;  // that decoding a token reads
  std::string architecture;                          // of what was written
  ModelShape shape;
  uint64_t tokens_met = 0;            // of the vocabulary: different ones in the text
  double expected_growth = 0;         // and how many more tokens such text will take, as a share
  double predicted_kld = 0;           // nats, of the parts one by one
  std::vector<MaskedKind> masked;     // single weights that went
  std::vector<double> layer_shares;   // of each layer's weights, where they differ
  std::vector<ExpertChoice> experts;  // of each layer
  double kld = 0;                     // of the result, on text held out; 0: not measured
  std::optional<DistillReport> distilled;  // after that
  MemoryMap map;                           // as planned
  double seconds = 0;
};

Result<PruneReport> prune(std::shared_ptr<const Model> model, const std::string& output_path,
                          const PruneRequest& request, const Progress& progress);

// What prune() will take; kDoesNotFit where that is more than it may.
Result<CompressionPlan> plan_prune(std::shared_ptr<const Model> model, const PruneRequest& request);

}  // namespace enxuto
