// What the model itself says of formats of its KV cache, measured on the built-in text: for
// `plan --measure`, and for the choice that -ctk auto and -ctv auto leave to us.
#pragma once

#include "cli/commands.h"
#include "infer/cache_meter.h"

namespace enxuto {

struct MeasuredCache {
  struct Whole {
    std::vector<KvFormat> layers;
    CacheScore score;
  };
  std::vector<Whole> wholes;      // q8_0, q4_0, and what was chosen where that is neither
  std::vector<LayerLoss> losses;  // of the layers
  std::vector<KvFormat> chosen;   // the least loss that fits the request
};

// Shows its progress. A minute or two: what takes longer is measured on fewer tokens.
Result<MeasuredCache> measure_cache(std::shared_ptr<const Model> model,
                                    const CommonOptions& options, const InferenceRequest& request);

// The request with the formats that -ctk auto and -ctv auto stand for. Measures only where f16 does
// not fit, and tells what was chosen.
Status settle_cache(std::shared_ptr<const Model> model, const CommonOptions& options,
                    InferenceRequest& request);

}  // namespace enxuto
