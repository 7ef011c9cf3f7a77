#include "plan/weight_plan.h"

#include <algorithm>

#include "base/checked.h"

namespace enxuto {
namespace {

constexpr uint64_t kBlock = 4096;  // what direct reads are made of
constexpr uint32_t kSlots = 2;     // one is read while the other is used

void add_piece(const Model& model, const Tensor* tensor, uint64_t first_row, uint64_t n_rows,
               WeightUnit& unit) {
  const WeightPiece piece = piece_of(model, *tensor, first_row, n_rows);
  if (piece.bytes == 0) return;
  unit.pieces.push_back(piece);
  unit.bytes += piece.bytes;
}

void add_whole(const Model& model, const Tensor* tensor, WeightUnit& unit) {
  if (tensor) add_piece(model, tensor, 0, tensor->rows(), unit);
}

WeightUnit layer_unit(const Model& model, const LayerWeights& w) {
  WeightUnit unit;
  for (const Tensor* t : {w.q, w.k, w.v, w.attn_output, w.gate, w.up, w.down})
    add_whole(model, t, unit);
  return unit;
}

WeightUnit small_unit(const Model& model) {
  WeightUnit unit;
  add_whole(model, model.output_norm, unit);
  add_whole(model, model.rope_factors, unit);
  for (const LayerWeights& w : model.layers)
    for (const Tensor* t : {w.attn_norm, w.q_bias, w.k_bias, w.v_bias, w.q_norm, w.k_norm,
                            w.post_attn_norm, w.ffn_norm, w.post_ffn_norm})
      add_whole(model, t, unit);
  return unit;
}

}  // namespace

WeightPiece piece_of(const Model& model, const Tensor& tensor, uint64_t first_row,
                     uint64_t n_rows) {
  WeightPiece piece{&tensor, first_row, n_rows, 0, 0, 0, 0};
  if (tensor.data.empty()) return piece;
  const uint8_t* data = tensor.data.data() + first_row * tensor.row_bytes();
  for (uint32_t f = 0; f < model.files.size(); ++f) {
    const ByteView file = model.files[f]->bytes();
    if (data < file.data() || data >= file.data() + file.size()) continue;
    const auto at = static_cast<uint64_t>(data - file.data());
    piece.file = f;
    piece.begin = at / kBlock * kBlock;
    piece.skip = at - piece.begin;
    piece.bytes = align_up(piece.skip + n_rows * tensor.row_bytes(), kBlock);
  }
  return piece;
}

uint64_t WeightPlan::pinned_bytes() const {
  uint64_t bytes = small.bytes + row_buffer_bytes;
  for (uint32_t u = 0; u < n_pinned; ++u) bytes += units[u].bytes;
  return bytes;
}

uint64_t WeightPlan::streamed_bytes() const {
  uint64_t bytes = 0;
  for (size_t u = n_pinned; u < units.size(); ++u) bytes += units[u].bytes;
  return bytes;
}

WeightPlan plan_streaming(const Model& model, uint64_t bytes) {
  WeightPlan plan;
  plan.streams = true;
  plan.small = small_unit(model);
  plan.n_slots = kSlots;
  for (const LayerWeights& w : model.layers) {
    plan.units.push_back(layer_unit(model, w));
    plan.slot_bytes = std::max(plan.slot_bytes, plan.units.back().bytes);
  }
  plan.n_layers = static_cast<uint32_t>(plan.units.size());
  // The head goes in slices that fit a slot made for a layer.
  const Tensor& head = *model.output;
  const uint64_t room = plan.slot_bytes > 3 * kBlock ? plan.slot_bytes - 2 * kBlock : kBlock;
  const uint64_t rows =
      std::clamp<uint64_t>(room / std::max<uint64_t>(1, head.row_bytes()), 1, head.rows());
  for (uint64_t first = 0; first < head.rows(); first += rows) {
    WeightUnit slice;
    add_piece(model, &head, first, std::min(rows, head.rows() - first), slice);
    plan.slot_bytes = std::max(plan.slot_bytes, slice.bytes);
    plan.units.push_back(std::move(slice));
  }
  plan.row_buffer_bytes = align_up(model.token_embedding->row_bytes(), kBlock) + kBlock;
  uint64_t used = plan.pinned_bytes() + plan.ring_bytes();
  while (plan.n_pinned < plan.units.size() && used + plan.units[plan.n_pinned].bytes <= bytes)
    used += plan.units[plan.n_pinned++].bytes;
  return plan;
}

}  // namespace enxuto
