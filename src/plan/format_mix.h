// Simple mixes of number formats to choose from before anything is compressed: one format for every
// matrix, another where its rows do not divide into blocks. Sizes are exact.
#pragma once

#include <optional>
#include <span>

#include "base/status.h"
#include "plan/output_size.h"

namespace enxuto {

struct FormatMix {
  const char* name;
  std::optional<Type> type;  // nothing: as the file is
};
std::span<const FormatMix> format_mixes();  // most bits first

// What the mix makes of a tensor; never larger than the tensor is.
Type type_in_mix(const Tensor& tensor, const FormatMix& mix);

struct MixSize {
  uint64_t weights_bytes = 0;  // of the tensors, their padding in the file included
  uint64_t file_bytes = 0;
  double bits_per_weight = 0;  // of the weights
};
// kBadInput where the tensors claim more bytes than can be counted.
Result<MixSize> size_of_mix(const Model& model, const FormatMix& mix);

// Weights of all tensors; kBadInput as above.
Result<uint64_t> count_parameters(const Model& model);

}  // namespace enxuto
