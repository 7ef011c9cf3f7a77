#include "plan/output_size.h"

namespace enxuto {

Metadata output_metadata(Metadata metadata, uint32_t file_type) {
  std::vector<std::string> stale;
  for (const auto& [key, value] : metadata.entries())
    if (key.starts_with("split.") || key.starts_with("quantize.")) stale.push_back(key);
  for (const std::string& key : stale) metadata.erase(key);
  metadata.set_u32("general.file_type", file_type);
  metadata.set_u32("general.quantization_version", 2);
  return metadata;
}

OutputHeader output_header(const Model& model) {
  const Metadata metadata = output_metadata(model.metadata, 0);
  GgufHeaderSize header(metadata);
  for (const Tensor& tensor : model.tensors) header.add(tensor.name, tensor.n_dims);
  return {header.bytes(), header.alignment()};
}

OptionalSize output_tensor_bytes(const Tensor& tensor, Type type, const OutputHeader& header) {
  OptionalSize rows = tensor.shape[1];
  for (const uint64_t dim : {tensor.shape[2], tensor.shape[3]}) rows = checked_mul(rows, dim);
  const Codec& codec = *find_codec(type);
  const OptionalSize row =
      checked_mul(tensor.columns() / codec.block_values, uint64_t{codec.block_bytes});
  return checked_align(checked_mul(row, rows), header.alignment);
}

}  // namespace enxuto
