// The GGUF file that a model becomes when its matrices take other formats: what it says of itself,
// and its exact bytes. compress/ announces these sizes, and the plan compares by them.
#pragma once

#include "base/checked.h"
#include "models/model.h"

namespace enxuto {

// llama.cpp's number for a file most of whose weights have this type.
uint32_t file_type_of(Type most);

// A model's metadata with the keys of quantization set anew. file_type: as llama.cpp numbers it.
Metadata output_metadata(Metadata metadata, uint32_t file_type);

struct OutputHeader {
  uint64_t bytes;      // all that lies before the tensors' data
  uint32_t alignment;  // of each tensor
};
OutputHeader output_header(const Model& model);

// With the padding behind it; nothing where the shape claims more than can be counted.
OptionalSize output_tensor_bytes(const Tensor& tensor, Type type, const OutputHeader& header);

}  // namespace enxuto
