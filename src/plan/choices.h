// What fits: every format mix with contexts from 512 tokens to the trained one, short and long
// passes; and which of them to take, with the reason.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/format_mix.h"
#include "plan/plan.h"

namespace enxuto {

struct ChoiceQuestion {
  InferenceRequest request;  // the context, pass and number of sequences that are wanted
  uint64_t budget_bytes = 0;
  double bandwidth = 0;  // bytes per second that decoding reads; 0: unknown
};

struct Combination {
  uint32_t context, batch;
  uint64_t total_bytes;
  bool fits;
};

struct MixChoice {
  std::string mix;
  uint64_t file_bytes;
  double bits_per_weight;
  double expected_kld;                    // from the model as it is; an estimate
  uint64_t bytes_per_token;               // read for one token of each sequence, context full
  double expected_tokens_per_second;      // of all sequences together; 0: bandwidth unknown
  uint32_t largest_context;               // that fits with the pass wanted; 0: none
  std::vector<Combination> combinations;  // contexts (ascending) x passes (ascending)
};

struct Recommendation {
  std::string mix;
  uint64_t file_bytes, total_bytes;
  uint32_t context, batch;
  double expected_kld;
  std::string reason;
};

struct ChoiceTable {
  uint32_t context, batch, sequences;  // what was wanted
  std::vector<uint32_t> contexts, batches;
  std::vector<MixChoice>
      mixes;  // most bits first; those that would make the file no smaller left out
  std::optional<Recommendation> recommendation;  // nothing: not even the smallest fits
};

Result<ChoiceTable> weigh_choices(const Model& model, const ChoiceQuestion& question);

}  // namespace enxuto
