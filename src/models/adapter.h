// A low-rank adapter (LoRA; Hu et al., 2021): what some matrices w of a model give, y = x w',
// becomes
//   y + scale (x a') b',   scale = alpha / rank
// From a GGUF file as llama.cpp has it, or in memory while it learns. Untrusted bytes in, tensors
// whose shapes fit the model out.
//
// general.type "adapter", adapter.type "lora", adapter.lora.alpha; tensors NAME.lora_a (rank,
// columns of NAME) and NAME.lora_b (rows of NAME, rank), rows contiguous
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace enxuto {

struct LowRank {        // of one matrix
  const Tensor* w;      // the model's
  const Tensor *a, *b;  // the adapter's
  float scale;
  uint64_t rank() const { return a->rows(); }
};

struct Adapter {
  float alpha = 0;
  std::vector<Tensor> tensors;
  std::vector<LowRank> pairs;  // in the model's order
  // None: the tensors lie in memory in F32, rows in the model's order, or have no data yet.
  std::vector<std::shared_ptr<const MappedFile>> files;

  const LowRank* find(const Tensor& w) const;  // null: nothing is added to w
  uint64_t count() const;                      // numbers
  uint64_t most_rank() const;

  Adapter() = default;
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;
};

// A rank of r has this alpha times r, as users of PEFT mostly choose.
inline constexpr float kAlphaOfRank = 2;
// F32 tensors without data for all matrices of all layers.
std::shared_ptr<Adapter> blank_adapter(const Model& model, uint32_t rank);

// kBadInput where it is no adapter, or not one of this model.
Result<std::shared_ptr<const Adapter>> open_adapter(const std::string& path, const Model& model);
// The same of a file that was parsed already.
Result<std::shared_ptr<const Adapter>> bind_adapter(GgufFile file, const Model& model);

// b of a pair as floats, its rows in the model's order: a file has them in that of GGUF.
void decode_b(const Model& model, const Adapter& adapter, const LowRank& pair, float* b);

// Of an adapter in memory. Commits.
Status write_adapter(const Adapter& adapter, const Model& model, const std::string& path,
                     bool replace);

}  // namespace enxuto
