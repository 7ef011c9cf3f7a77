#include "plan/output_size.h"

namespace enxuto {
namespace {

// general.file_type as llama.cpp numbers it: a name for the format of most weights, shown to users.
struct FileType {
  Type type;
  uint32_t number;
};
constexpr FileType kFileTypes[] = {
    {Type::F32, 0},      {Type::F16, 1},     {Type::Q4_0, 2},     {Type::Q4_1, 3},
    {Type::Q8_0, 7},     {Type::Q5_0, 8},    {Type::Q5_1, 9},     {Type::Q2_K, 10},
    {Type::Q3_K, 12},    {Type::Q4_K, 15},   {Type::Q5_K, 17},    {Type::Q6_K, 18},
    {Type::IQ2_XXS, 19}, {Type::IQ2_XS, 20}, {Type::IQ3_XXS, 23}, {Type::IQ1_S, 24},
    {Type::IQ4_NL, 25},  {Type::IQ3_S, 26},  {Type::IQ2_S, 28},   {Type::IQ4_XS, 30},
    {Type::IQ1_M, 31},   {Type::BF16, 32},   {Type::TQ1_0, 36},   {Type::TQ2_0, 37},
    {Type::MXFP4, 38},   {Type::NVFP4, 39},  {Type::Q1_0, 40},    {Type::Q2_0, 41},
};

}  // namespace

uint32_t file_type_of(Type most) {
  for (const FileType& f : kFileTypes)
    if (f.type == most) return f.number;
  return 0;
}

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
