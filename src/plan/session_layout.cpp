#include "plan/session_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/checked.h"
#include "kernels/matmul.h"
#include "plan/cache_formats.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

constexpr uint32_t kDefaultContext = 4096;

uint32_t cache_rows(const HyperParameters& hyper, uint32_t layer, uint32_t context,
                    uint32_t batch) {
  if (!hyper.slides(layer)) return context;
  return static_cast<uint32_t>(std::min<uint64_t>(context, uint64_t{hyper.sliding_window} + batch));
}

Status cannot_hold(Type type, const char* option, uint32_t n_values) {
  const Codec* codec = find_codec(type);
  return Status::usage(fmt::format("heads of {} numbers cannot be kept as {}{}", n_values,
                                   codec ? codec->name : "that format",
                                   codec && codec->block_values > 1
                                       ? fmt::format(", whose blocks hold {}", codec->block_values)
                                       : std::string()),
                       fmt::format("leave out {}: f16 holds heads of any size", option));
}

Status lay_out_cache(const HyperParameters& hyper, const InferenceRequest& request,
                     SessionLayout& layout, Pieces& pieces) {
  if (request.kv.size() > uint64_t{hyper.n_layers} + 1)
    return Status::usage(fmt::format("a cache format for layer {}, and the last layer is {}",
                                     request.kv.size() - 2, int64_t{hyper.n_layers} - 1),
                         "layers count from 0");
  for (uint32_t l = 0; l < hyper.n_layers; ++l) {
    KvLayer layer{};
    layer.n_heads = hyper.widths(l).n_kv_heads;
    layer.rows = cache_rows(hyper, l, layout.context, layout.batch);
    layer.set_format(hyper, cache_of_layer(request.kv, l));
    if (!layer.key_bytes) return cannot_hold(layer.format.key, "-ctk", hyper.key_dim);
    if (!layer.value_bytes) return cannot_hold(layer.format.value, "-ctv", hyper.value_dim);
    layer.offset =
        pieces.next(checked_mul(checked_mul(layer.rows, layer.n_heads), layer.row_bytes()));
    layout.kv.push_back(layer);
  }
  const OptionalSize all = checked_mul(pieces.end(), layout.sequences);
  pieces.next(all ? OptionalSize(*all - pieces.end()) : std::nullopt);
  layout.kv_bytes = pieces.end();
  return {};
}

void lay_out_adapter(const Adapter& adapter, SessionLayout& layout, Pieces& scratch,
                     Pieces& numbers) {
  const uint64_t n = std::max(layout.batch, layout.logit_rows);
  layout.scratch.low = scratch.next(floats(n, adapter.most_rank()));
  layout.scratch.bytes = scratch.end();
  if (adapter.files.empty()) return;
  for (const LowRank& pair : adapter.pairs) {
    numbers.next(floats(1, pair.a->count()));
    numbers.next(floats(1, pair.b->count()));
  }
  layout.adapter_bytes = numbers.end();
}

bool has_gates(const Model& model) { return model.layers.empty() || model.layers[0].gate; }

void lay_out_scratch(const Model& model, SessionLayout& layout, Pieces& pieces) {
  const HyperParameters& hyper = model.hyper;
  const uint64_t n = layout.batch;
  const OptionalSize heads_width = checked_mul(hyper.n_heads, hyper.value_dim);
  const OptionalSize query_width = checked_mul(hyper.n_heads, hyper.key_dim);
  const OptionalSize kv_width =
      checked_mul(hyper.n_kv_heads, uint64_t{hyper.key_dim} + hyper.value_dim);
  const OptionalSize qkv_width = checked_add(query_width, kv_width);
  const uint64_t wide = std::max<uint64_t>(hyper.width, heads_width.value_or(kAbsurdBytes));
  const uint64_t projections = std::max({uint64_t{hyper.width}, qkv_width.value_or(kAbsurdBytes),
                                         uint64_t{hyper.ffn_width} * (has_gates(model) ? 2 : 1),
                                         uint64_t{hyper.shared_ffn_width} * 2});
  layout.widest_input = std::max<uint64_t>({wide, hyper.ffn_width, hyper.shared_ffn_width});
  ScratchLayout& scratch = layout.scratch;
  scratch.hidden = pieces.next(floats(n, hyper.width));
  scratch.wide = pieces.next(floats(n, wide));
  scratch.projections = pieces.next(floats(n, projections));
  scratch.angles = pieces.next(floats(n, hyper.rope_dims));
  scratch.sliding_angles = pieces.next(floats(hyper.sliding_window ? n : 0, hyper.rope_dims));
  const uint64_t mixed = hyper.n_experts ? n : 0;
  scratch.shares = pieces.next(floats(mixed, hyper.n_experts));
  scratch.met = pieces.next(checked_mul(mixed, sizeof(uint32_t)));
  scratch.gathered = pieces.next(floats(mixed, hyper.width));
  const bool sane = layout.widest_input < kAbsurdBytes / (n + 1) / 64;
  scratch.prepared =
      pieces.next(sane ? OptionalSize(MatmulBuffers::bytes(
                             static_cast<int64_t>(std::max<uint64_t>(n, layout.logit_rows)),
                             static_cast<int64_t>(layout.widest_input), layout.n_threads))
                       : std::nullopt);
  scratch.bytes = pieces.end();
}

}  // namespace

uint32_t lookup_heads(uint32_t context) {
  return std::bit_ceil(std::clamp<uint32_t>(context, 64, 1 << 16));
}

uint64_t kv_row_bytes(Type type, uint32_t n_values) {
  if (type != Type::F16 && type != Type::Q8_0 && type != Type::Q4_0) return 0;
  const Codec& codec = *find_codec(type);
  return n_values % codec.block_values ? 0 : codec.row_bytes(n_values);
}

void KvLayer::set_format(const HyperParameters& hyper, KvFormat format_) {
  format = format_;
  key_bytes = kv_row_bytes(format.key, hyper.key_dim);
  value_bytes = kv_row_bytes(format.value, hyper.value_dim);
}

Result<SessionLayout> lay_out_session(const Model& model, const InferenceRequest& request) {
  const HyperParameters& hyper = model.hyper;
  SessionLayout layout{};
  layout.context = request.context;
  if (layout.context == 0)
    layout.context = hyper.trained_context == 0 ? kDefaultContext
                                                : std::min(hyper.trained_context, kDefaultContext);
  if (hyper.learned_positions && layout.context > hyper.trained_context)
    return Status::usage(
        fmt::format("a context of {} tokens, and the model knows the positions of {}",
                    format_count(layout.context), format_count(hyper.trained_context)),
        fmt::format("choose a --context of at most {}", hyper.trained_context));
  if (request.batch == 0) return Status::usage("a pass of 0 tokens", "set the batch to 1 or more");
  layout.sequences = std::max<uint32_t>(1, request.sequences);
  // Each sequence takes a token a pass, and wants a row of logits from it.
  layout.batch = std::max(std::min(request.batch, layout.context), layout.sequences);
  layout.logit_rows = std::max(layout.sequences, std::min(request.logit_rows, layout.batch));
  layout.draft = std::min({request.draft, layout.batch - 1, kMostDrafted});
  layout.logit_rows = std::max(layout.logit_rows, layout.draft + 1);
  layout.lookup_bytes =
      layout.draft
          ? align_up((uint64_t{layout.context} + lookup_heads(layout.context)) * sizeof(uint32_t),
                     kLine)
          : 0;
  layout.n_threads = std::max(1, request.n_threads);
  Pieces cache, scratch, logits, adapter;
  TRY(lay_out_cache(hyper, request, layout, cache));
  lay_out_scratch(model, layout, scratch);
  if (request.adapter) lay_out_adapter(*request.adapter, layout, scratch, adapter);
  logits.next(floats(layout.logit_rows, hyper.vocabulary));
  layout.logits_bytes = logits.end();
  if (cache.absurd() || scratch.absurd() || logits.absurd() || adapter.absurd())
    return Status::does_not_fit(
        fmt::format("a context of {} tokens takes more bytes than can be counted", layout.context),
        "choose a shorter context; if it is short already, the model's file lies about its sizes");
  return layout;
}

}  // namespace enxuto
