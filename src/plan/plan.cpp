#include "plan/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/checked.h"
#include "plan/cache_formats.h"

namespace enxuto {
namespace {

// Measured: program, its libraries, the heap's own and the main stack; then what each further
// thread touches of its stack.
constexpr uint64_t kProcessBytes = 11 * kMiB;
constexpr uint64_t kThreadBytes = 64 * kKiB;
// A token's place in the tokenizer's tables, where the tokenizer was not asked.
constexpr uint64_t kTableBytesPerToken = 64;
// More guesses in a row are seldom right, and each takes a row of logits.
constexpr uint32_t kLongestDraft = 15;

// In all the tensors.
OptionalSize weight_bytes(const Model& model) {
  OptionalSize bytes = 0;
  for (const Tensor& tensor : model.tensors) bytes = checked_add(bytes, tensor.bytes());
  return bytes;
}

// In what a pass reads row by row.
uint64_t looked_up_bytes(const Model& model, const InferenceRequest& request) {
  return reads_embedding_rows(model, request.whole_embedding) ? model.token_embedding->bytes() : 0;
}

// "Q4_1": the format that holds most of the bytes.
const char* main_format(const Model& model) {
  std::map<Type, uint64_t> bytes;
  for (const Tensor& tensor : model.tensors) bytes[tensor.type] += tensor.bytes();
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "empty" : find_codec(most->first)->name;
}

std::string kv_why(const HyperParameters& hyper, const SessionLayout& layout) {
  uint32_t sliding = 0;
  std::vector<KvFormat> formats;
  uint64_t heads = 0;
  for (const KvLayer& layer : layout.kv) {
    if (layer.n_heads == 0) continue;
    sliding += layer.rows < layout.context;
    heads += layer.n_heads;
    formats.push_back(layer.format);
  }
  std::string why = fmt::format("{} layers x ({} + {})", formats.size() - sliding,
                                uint64_t{hyper.n_kv_heads} * hyper.key_dim,
                                uint64_t{hyper.n_kv_heads} * hyper.value_dim);
  if (!hyper.uneven.empty())
    why = fmt::format("{} heads in {} layers x ({} + {})", heads, formats.size(), hyper.key_dim,
                      hyper.value_dim);
  why += fmt::format(" x {} tokens, {}", format_count(layout.context), cache_name(formats));
  if (layout.sequences > 1) why = fmt::format("{} sequences x ", layout.sequences) + why;
  if (sliding)
    why += fmt::format("; {} sliding layers keep {}", sliding,
                       format_count(std::min<uint64_t>(
                           layout.context, uint64_t{hyper.sliding_window} + layout.batch)));
  return why;
}

MemoryPart adapter_part(const Adapter& adapter, const SessionLayout& layout) {
  return {owner::kAdapter, layout.adapter_bytes,
          fmt::format("rank {} beside {} matrices, f32", adapter.most_rank(), adapter.pairs.size()),
          "always", PartKind::kArena};
}

// Whether the matrices can be read from the file as they are used.
bool lies_in_files(const Model& model) {
  return !model.files.empty() && std::ranges::all_of(model.tensors, [&](const Tensor& tensor) {
    return tensor.rows() == 1 || piece_of(model, tensor, 0, 1).bytes > 0;
  });
}

// All parts but the weights.
Result<MemoryMap> plan_others(const Model& model, const InferenceRequest& request,
                              uint64_t weights) {
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, request));
  const HyperParameters& hyper = model.hyper;
  const uint64_t header = model.file_bytes > weights ? model.file_bytes - weights : 0;
  const OptionalSize tables = request.tokenizer_bytes
                                  ? OptionalSize(request.tokenizer_bytes)
                                  : checked_mul(hyper.vocabulary, kTableBytesPerToken);
  const OptionalSize vocabulary = checked_add(header, tables);
  if (!checked_add(weights, vocabulary))
    return Status::bad_input("the model's tensors claim more bytes than can be counted");
  const uint64_t threads = static_cast<uint64_t>(layout.n_threads - 1) * kThreadBytes;
  const char* always = "always";
  const char* running = "while it runs";
  MemoryMap map{{
      {owner::kVocabulary, *vocabulary,
       fmt::format("{} tokens: the file's header and the tokenizer's tables",
                   format_count(hyper.vocabulary)),
       always, PartKind::kProcess},
      {owner::kKvCache, layout.kv_bytes, kv_why(hyper, layout), running, PartKind::kArena},
      {owner::kScratch, layout.scratch.bytes,
       fmt::format("passes of {} tokens, {} threads", layout.batch, layout.n_threads), running,
       PartKind::kArena},
      {owner::kLogits, layout.logits_bytes,
       fmt::format("{} x {} tokens, f32", layout.logit_rows, format_count(hyper.vocabulary)),
       running, PartKind::kArena},
      {owner::kProcess, kProcessBytes + threads, "program, libraries and stacks (estimate)", always,
       PartKind::kProcess},
  }};
  if (layout.draft)
    map.parts.push_back(
        {owner::kDrafting, layout.lookup_bytes,
         fmt::format("finds up to {} tokens to guess in the text so far", layout.draft), running,
         PartKind::kArena});
  if (layout.adapter_bytes) map.parts.push_back(adapter_part(*request.adapter, layout));
  return map;
}

}  // namespace

Result<WeightPlan> plan_weights(const Model& model, const InferenceRequest& request) {
  const OptionalSize weights = weight_bytes(model);
  if (!weights)
    return Status::bad_input("the model's tensors claim more bytes than can be counted");
  ASSIGN_OR_RETURN(const MemoryMap others, plan_others(model, request, *weights));
  WeightPlan mapped;
  if (reads_embedding_rows(model, request.whole_embedding))
    mapped.row_buffer_bytes = embedding_row_buffer_bytes(model.hyper);
  const OptionalSize all = checked_add(*weights - looked_up_bytes(model, request),
                                       mapped.row_buffer_bytes + others.total_bytes());
  if (request.memory_bytes == 0 || (all && *all <= request.memory_bytes) || !lies_in_files(model))
    return mapped;
  const uint64_t rest = others.total_bytes();
  return plan_streaming(model, request.memory_bytes > rest ? request.memory_bytes - rest : 0,
                        request.holds_layers);
}

Result<MemoryMap> plan_inference(const Model& model, const InferenceRequest& request) {
  ASSIGN_OR_RETURN(const WeightPlan plan, plan_weights(model, request));
  const uint64_t weights = *weight_bytes(model);
  ASSIGN_OR_RETURN(const MemoryMap others, plan_others(model, request, weights));
  MemoryMap map;
  if (!plan.streams) {
    map.parts.push_back(
        {owner::kWeights, weights - looked_up_bytes(model, request),
         fmt::format("{} tensors, mostly {}, used where they lie in the file",
                     model.tensors.size() - (plan.row_buffer_bytes ? 1 : 0), main_format(model)),
         "always", PartKind::kMapped});
    if (plan.row_buffer_bytes)
      map.parts.push_back({owner::kEmbeddingRow, plan.row_buffer_bytes,
                           fmt::format("a row for each token is read from the file, {} in all",
                                       format_bytes(model.token_embedding->bytes())),
                           "always", PartKind::kArena});
  } else {
    const uint64_t streamed = plan.streamed_bytes(), pinned = plan.pinned_bytes();
    map.parts.push_back(
        {owner::kPinnedWeights, pinned,
         fmt::format("{:.0f} % of the layers and the head, mostly {}",
                     100.0 * static_cast<double>(pinned) / static_cast<double>(pinned + streamed),
                     main_format(model)),
         "always", PartKind::kArena});
    if (streamed > 0)
      map.parts.push_back({owner::kWeightRing, plan.ring_bytes(),
                           fmt::format("{} slots; {} are read from the file in every pass",
                                       plan.n_slots, format_bytes(streamed)),
                           "always", PartKind::kArena});
  }
  map.parts.insert(map.parts.end(), others.parts.begin(), others.parts.end());
  return map;
}

InferenceRequest with_drafting(const Model& model, InferenceRequest request) {
  const Result<WeightPlan> weights = plan_weights(model, request);
  if (!weights.ok() || !weights->streams) return request;
  for (request.draft = kLongestDraft; request.draft > 0; request.draft /= 2)
    if (fits(model, request, request.memory_bytes)) break;
  return request;
}

Result<uint64_t> whole_file_bytes(const Model& model) {
  const OptionalSize weights = weight_bytes(model);
  if (weights) return std::max(*weights, model.file_bytes);
  return Status::bad_input("the model's tensors claim more bytes than can be counted");
}

Result<uint64_t> mapped_file_bytes(const Model& model) {
  ASSIGN_OR_RETURN(const uint64_t whole, whole_file_bytes(model));
  return whole - looked_up_bytes(model, {});
}

}  // namespace enxuto
