// What fits: every format mix with each format of the KV cache, contexts from 512 tokens to the
// trained one, short and long passes; and which of them to take, with the reason.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/cache_formats.h"
#include "plan/format_mix.h"
#include "plan/plan.h"

namespace enxuto {

// A cache whose loss was measured.
struct MeasuredLoss {
  std::vector<KvFormat> layers;
  double kld;
};

struct ChoiceQuestion {
  // The context, pass and number of sequences that are wanted; and the cache, where it names one:
  // no other is recommended then.
  InferenceRequest request;
  uint64_t budget_bytes = 0;
  double bandwidth = 0;                // bytes per second that decoding reads; 0: unknown
  std::vector<MeasuredLoss> measured;  // caches that are choices too
};

struct CacheChoice {
  std::string name;              // "q8_0", "by layer"
  std::vector<KvFormat> layers;  // one for each
  uint64_t bytes;                // with the context that is wanted
  double expected_kld;           // from f16: measured, or an estimate
  bool measured;
  uint64_t total_bytes;  // of the model as it is, with what is wanted
  bool fits;
  uint32_t largest_context;  // of the model as it is, that fits; 0: none
};

struct Combination {
  size_t cache;  // index into ChoiceTable::caches
  uint32_t context, batch;
  uint64_t total_bytes;
  bool fits;
};

struct MixChoice {
  std::string mix;
  uint64_t file_bytes;
  uint64_t mapped_bytes;  // of the file, while the model runs
  double bits_per_weight;
  double expected_kld;                    // from the model as it is; an estimate
  uint64_t bytes_per_token;               // read for one token of each sequence, context full
  double expected_tokens_per_second;      // of all sequences together; 0: bandwidth unknown
  uint32_t largest_context;               // that fits with the pass and the cache wanted; 0: none
  std::vector<Combination> combinations;  // caches x contexts (ascending) x passes (ascending)
};

struct Recommendation {
  std::string mix;
  size_t cache;
  uint64_t file_bytes, total_bytes;
  uint32_t context, batch;
  double expected_kld;  // of mix and cache
  std::string reason;
};

struct ChoiceTable {
  uint32_t context, batch, sequences;  // what was wanted
  std::vector<uint32_t> contexts, batches;
  std::vector<CacheChoice> caches;  // first the one wanted, then those with fewer bytes
  std::vector<MixChoice>
      mixes;  // most bits first; those that would make the file no smaller left out
  std::optional<Recommendation> recommendation;  // nothing: not even the smallest fits
};

Result<ChoiceTable> weigh_choices(const Model& model, const ChoiceQuestion& question);

}  // namespace enxuto
