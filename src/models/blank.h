// A model that is yet to be trained: metadata, and tensors of the right shapes without data.
#pragma once

#include "models/model.h"

namespace enxuto {

// What a new model looks like. Heads are width / n_heads wide; of a mixture of experts each is
// ffn_width wide, and so is the one that all tokens meet, where the architecture has it.
struct ModelShapeRequest {
  std::string architecture = "llama";
  uint32_t n_layers = 0, width = 0, n_heads = 0, n_kv_heads = 0, ffn_width = 0, context = 0;
  uint32_t n_experts = 0, n_experts_used = 0;  // 0: none, or 8 and 2 where the others want some
};

// With the numbers of experts that it means. kUsage where the architecture is not known, or has no
// experts.
Result<ModelShapeRequest> with_experts(ModelShapeRequest request);

// `tokenizer`: GGUF keys of a tokenizer, whose tokens are the vocabulary, and of a medium
// (enxuto.*). The embedding is the head as well, but of a qwen2moe. kUsage where such a model
// cannot be.
Result<std::shared_ptr<const Model>> blank_model(const ModelShapeRequest& request,
                                                 const Metadata& tokenizer);

// A shape of about so many parameters, the embedding and all experts included: kUsage where there
// is none. Architecture, experts and context are those of `kind`. Widths are multiples of 256 where
// there is room, so that the formats of compress fit them.
Result<ModelShapeRequest> shape_of_size(uint64_t parameters, uint32_t vocabulary,
                                        const ModelShapeRequest& kind);
// Before it is rounded: 8/3 of the width, or 4 times it where an architecture has no gates; the
// experts that a token meets share that. Of a shape that with_experts() gave.
uint32_t usual_ffn_width(const ModelShapeRequest& shape);
uint64_t parameters_of(const ModelShapeRequest& request, uint32_t vocabulary);

}  // namespace enxuto
