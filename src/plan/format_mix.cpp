#include "plan/format_mix.h"

#include "plan/plan.h"

namespace enxuto {
namespace {

constexpr FormatMix kMixes[] = {
    {"as is", {}},        {"Q8_0", Type::Q8_0},     {"Q6_K", Type::Q6_K},     {"Q5_K", Type::Q5_K},
    {"Q4_K", Type::Q4_K}, {"IQ4_NL", Type::IQ4_NL}, {"IQ4_XS", Type::IQ4_XS}, {"Q3_K", Type::Q3_K},
    {"Q2_K", Type::Q2_K},
};

// The format of the next more bits whose blocks are 32 values, as llama.cpp chooses too.
struct Fallback {
  Type from, to;
};
constexpr Fallback kFallbacks[] = {
    {Type::Q6_K, Type::Q8_0},     {Type::Q5_K, Type::Q5_1},   {Type::Q4_K, Type::Q5_0},
    {Type::IQ4_XS, Type::IQ4_NL}, {Type::Q3_K, Type::IQ4_NL}, {Type::Q2_K, Type::IQ4_NL},
};

// A tokenizer that a config.json alone does not bring, in the file: measured on SmolLM2 (34 bytes a
// token) and Qwen2.5 (39).
constexpr uint64_t kHeaderBytesPerToken = 40;

bool divides(const Tensor& tensor, Type type) {
  return tensor.columns() % find_codec(type)->block_values == 0;
}

OptionalSize header_bytes(const Model& model, const OutputHeader& header) {
  if (model.metadata.find("tokenizer.ggml.tokens")) return header.bytes;
  return checked_add(header.bytes, checked_mul(model.hyper.vocabulary, kHeaderBytesPerToken));
}

}  // namespace

std::span<const FormatMix> format_mixes() { return kMixes; }

Type type_in_mix(const Tensor& tensor, const FormatMix& mix) {
  // Norms, biases and routers stay.
  if (!mix.type || tensor.n_dims < 2 || tensor.name.ends_with("ffn_gate_inp.weight"))
    return tensor.type;
  Type type = *mix.type;
  for (const Fallback& fallback : kFallbacks)
    if (fallback.from == type && !divides(tensor, type)) {
      type = fallback.to;
      break;
    }
  const bool smaller =
      find_codec(type)->bits_per_weight() < find_codec(tensor.type)->bits_per_weight();
  return divides(tensor, type) && smaller ? type : tensor.type;
}

Result<MixSize> size_of_mix(const Model& model, const FormatMix& mix) {
  const OutputHeader header = output_header(model);
  OptionalSize weights = 0;
  for (const Tensor& tensor : model.tensors)
    weights = checked_add(weights, output_tensor_bytes(tensor, type_in_mix(tensor, mix), header));
  const OptionalSize file = checked_add(weights, header_bytes(model, header));
  ASSIGN_OR_RETURN(const uint64_t parameters, count_parameters(model));
  if (!file) return Status::bad_input("the model's tensors claim more bytes than can be counted");
  MixSize size{*weights, *file, 0};
  if (!mix.type) {  // a file as it is has its size already
    ASSIGN_OR_RETURN(size.file_bytes, whole_file_bytes(model));
  }
  if (parameters)
    size.bits_per_weight = 8.0 * static_cast<double>(*weights) / static_cast<double>(parameters);
  return size;
}

Result<uint64_t> count_parameters(const Model& model) {
  OptionalSize all = 0;
  for (const Tensor& tensor : model.tensors) {
    OptionalSize count = 1;
    for (const uint64_t dim : tensor.shape) count = checked_mul(count, dim);
    all = checked_add(all, count);
  }
  if (all) return *all;
  return Status::bad_input("the model's tensors claim more weights than can be counted");
}

}  // namespace enxuto
