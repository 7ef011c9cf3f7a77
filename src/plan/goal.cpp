#include "plan/goal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/checked.h"
#include "plan/format_mix.h"
#include "plan/plan.h"

namespace enxuto {
namespace {

// Rows of logits alive at once: enough to unpack a row of the head for several tokens.
constexpr uint32_t kLogitRows = 16;
// A covariance wants several times as many tokens as its input has columns.
constexpr uint32_t kFitTokens = 256, kFitChunks = 12, kMostFitChunks = 48;
constexpr uint32_t kTokensPerColumn = 16;
constexpr uint32_t kProbeTokens = 64, kProbeChunks = 3;
constexpr uint64_t kLargeModel = 500'000'000;  // parameters
constexpr uint32_t kLargeProbeChunks = 2;
// Coarse enough to stand out of the sampling noise, fine enough for KL to be still quadratic.
constexpr Type kProbeTypes[] = {Type::Q4_0, Type::Q8_0};
// Sums in double precision, and their means as floats.
constexpr uint64_t kImportanceBytes = sizeof(double) + sizeof(float);
constexpr uint64_t kWritingBytes = 4 * kMiB;  // rows in flight, the output's buffer

// Pages that are mapped at once: a layer, the head, which every probe reads, and an embedding of
// its own while it is probed.
OptionalSize resident_weights(const Model& model) {
  uint64_t largest = 0;
  for (const LayerWeights& w : model.layers) {
    OptionalSize layer = 0;
    for (const Tensor* t : {w.q, w.k, w.v, w.attn_output, w.gate, w.up, w.down})
      if (t) layer = checked_add(layer, t->bytes());
    largest = std::max(largest, layer.value_or(UINT64_MAX));
  }
  const uint64_t head = model.output ? model.output->bytes() : 0;
  const uint64_t embedding = model.tied() ? 0 : model.token_embedding->bytes();
  return checked_add(checked_add(largest, head), embedding);
}

OptionalSize coarse_copy_bytes(const Model& model) {
  OptionalSize most = 0;
  for (const Tensor& tensor : model.tensors)
    if (const Codec* codec = tensor.n_dims > 1 ? probe_codec(tensor) : nullptr)
      most = std::max(most, checked_mul(codec->row_bytes(tensor.columns()), tensor.rows()));
  return most;
}

OptionalSize importance_bytes(const Model& model) {
  OptionalSize columns = 0;
  for (const Tensor& tensor : model.tensors)
    if (tensor.n_dims > 1) columns = checked_add(columns, tensor.columns());
  return checked_mul(columns, kImportanceBytes);
}

OptionalSize probe_state_bytes(const HyperParameters& hyper, const CalibrationShape& shape) {
  const uint64_t tokens = uint64_t{shape.probe_tokens} * shape.probe_chunks;
  return checked_mul(checked_mul(tokens, uint64_t{hyper.n_layers} + 1),
                     hyper.width * sizeof(float));
}

OptionalSize probe_logit_bytes(const HyperParameters& hyper, const CalibrationShape& shape) {
  const uint64_t rows = uint64_t{shape.probe_tokens + 1} / 2 * shape.probe_chunks;
  return checked_mul(rows, hyper.vocabulary * sizeof(float));
}

}  // namespace

InferenceRequest evaluation_request(uint32_t chunk_tokens, int n_threads) {
  InferenceRequest request;
  request.context = chunk_tokens;
  request.logit_rows = kLogitRows;
  request.n_threads = n_threads;
  return request;
}

CalibrationShape calibration_shape(const Model& model) {
  const uint32_t most = model.hyper.trained_context;
  const Result<uint64_t> parameters = count_parameters(model);
  const bool large = parameters.ok() && *parameters > kLargeModel;
  const uint64_t widest = std::max<uint64_t>(model.hyper.width, model.hyper.ffn_width);
  const auto chunks = static_cast<uint32_t>(
      std::clamp<uint64_t>(widest * kTokensPerColumn / kFitTokens, kFitChunks, kMostFitChunks));
  return {std::min(kFitTokens, most), chunks, std::min(kProbeTokens, most),
          large ? kLargeProbeChunks : kProbeChunks};
}

InferenceRequest calibration_request(int n_threads) {
  InferenceRequest request;
  request.context = kFitTokens;
  request.batch = kProbeTokens;
  request.logit_rows = kLogitRows;
  request.n_threads = n_threads;
  return request;
}

const Codec* probe_codec(const Tensor& tensor) {
  for (const Type type : kProbeTypes) {
    const Codec* codec = find_codec(type);
    if (tensor.columns() % codec->block_values == 0) return codec;
  }
  return nullptr;
}

Result<MemoryMap> plan_compression(const Model& model, int n_threads, uint64_t tokenizer_bytes) {
  InferenceRequest request = calibration_request(n_threads);
  request.tokenizer_bytes = tokenizer_bytes;
  ASSIGN_OR_RETURN(MemoryMap map, plan_inference(model, request));
  const CalibrationShape shape = calibration_shape(model);
  MemoryPart& weights = map.parts.front();
  bool absurd = false;
  const auto known = [&](OptionalSize bytes) {
    absurd |= !bytes || *bytes > (uint64_t{1} << 56);
    return bytes.value_or(0);
  };
  weights.bytes = std::min(weights.bytes, known(resident_weights(model)));
  weights.why = "the largest layer, the head and the embedding; what is not in use is given back";
  const char *probing = "probing", *fitting = "calibration to the end";
  const std::string probes =
      fmt::format("{} x {} held-out tokens", shape.probe_chunks, shape.probe_tokens);
  map.parts.push_back({"importance", known(importance_bytes(model)),
                       "what each column of each input carries", fitting, PartKind::kArena});
  map.parts.push_back({"probe states", known(probe_state_bytes(model.hyper, shape)),
                       "before every layer, " + probes, probing, PartKind::kArena});
  map.parts.push_back({"probe logits", known(probe_logit_bytes(model.hyper, shape)),
                       "of the second half of " + probes, probing, PartKind::kArena});
  map.parts.push_back({"coarse copy", known(coarse_copy_bytes(model)),
                       "of the largest tensor, to see what its rounding costs", probing,
                       PartKind::kArena});
  map.parts.push_back({"rows in flight", kWritingBytes,
                       "decoded, encoded, on their way to the file", "writing", PartKind::kArena});
  if (absurd) return Status::bad_input("the model's tensors claim more bytes than can be counted");
  return map;
}

}  // namespace enxuto
