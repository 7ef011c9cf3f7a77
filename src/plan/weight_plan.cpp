#include "plan/weight_plan.h"

#include <algorithm>
#include <bit>

#include "base/checked.h"
#include "plan/gradient_layout.h"

namespace enxuto {
namespace {

constexpr uint64_t kBlock = 4096;  // what direct reads are made of
// Long enough for the disk, short enough that a ring of several pins little less.
constexpr uint64_t kSliceBytes = 2 << 20;
constexpr uint64_t kTileRows = 16;  // that kernels take at once
constexpr uint32_t kSlots = 8;      // some being read, one in use, the others a cushion

void add_small(const Model& model, WeightPlan& plan) {
  const auto add = [&](const Tensor* tensor) {
    if (!tensor) return;
    const WeightPiece piece = piece_of(model, *tensor, 0, tensor->rows());
    if (piece.bytes > 0) plan.small.push_back(piece);
  };
  add(model.position_embedding);
  add(model.output_norm);
  add(model.output_norm_bias);
  add(model.rope_factors);
  for (const LayerWeights& w : model.layers)
    for (const Tensor* t : tensors_of(w))
      if (t->rows() == 1) add(t);
}

// Rows of a matrix in slices of about the same size, so many of which make up a block of rows; 0:
// any.
void add_rows(const Model& model, const Tensor& tensor, uint64_t begin, uint64_t end,
              WeightPlan& plan, int32_t expert = -1, uint64_t block = 0) {
  const uint64_t n = std::max<uint64_t>(1, (end - begin) * tensor.row_bytes() / kSliceBytes);
  uint64_t rows = align_up(std::max<uint64_t>(1, (end - begin) / n), kTileRows);
  if (block && (n > 1 || rows > block)) rows = std::min(block, std::bit_floor(rows));
  for (uint64_t first = begin; first < end; first += rows) {
    plan.slices.push_back(piece_of(model, tensor, first, std::min(rows, end - first)));
    plan.slices.back().expert = expert;
    plan.slot_bytes = std::max(plan.slot_bytes, plan.slices.back().bytes);
  }
}

void add_matrix(const Model& model, const Tensor* tensor, WeightPlan& plan, uint64_t block = 0) {
  if (!tensor) return;
  plan.first_of[model.index_of(*tensor)] = static_cast<uint32_t>(plan.slices.size());
  add_rows(model, *tensor, 0, tensor->rows(), plan, -1, block);
}

// Expert after expert, as a pass uses them.
void add_experts(const Model& model, const LayerWeights& w, WeightPlan& plan) {
  const size_t begin = plan.slices.size();
  const Tensor* const matrices[] = {w.gate, w.up, w.down};
  size_t of_one = 0;
  for (uint64_t e = 0; e < w.gate->shape[2]; ++e) {
    for (const Tensor* t : matrices) {
      if (e == 0) plan.first_of[model.index_of(*t)] = static_cast<uint32_t>(plan.slices.size());
      add_rows(model, *t, e * t->shape[1], (e + 1) * t->shape[1], plan, static_cast<int32_t>(e));
    }
    if (e == 0) of_one = plan.slices.size() - begin;
  }
  for (const Tensor* t : matrices)
    plan.to_next_expert[model.index_of(*t)] = static_cast<uint32_t>(of_one);
}

void add_layer(const Model& model, const LayerWeights& w, WeightPlan& plan) {
  if (!w.router) {
    for (const Tensor* t : matrices_of(w)) add_matrix(model, t, plan);
    return;
  }
  for (const Tensor* t : {w.q, w.k, w.v, w.attn_output, w.router}) add_matrix(model, t, plan);
  add_experts(model, w, plan);
  for (const Tensor* t : {w.shared_gate, w.shared_up, w.shared_down}) add_matrix(model, t, plan);
}

// Of the head, which comes last.
uint32_t slices_of_block(const WeightPlan& plan) {
  const auto first = plan.slices.begin() + (plan.ends.empty() ? 0 : plan.ends.back());
  return static_cast<uint32_t>(std::count_if(first, plan.slices.end(), [](const WeightPiece& p) {
    return p.first_row < kVocabularyBlock;
  }));
}

// Of experts' slices, or of the others, `bytes` in all at most, spread evenly; what is left of it
// goes to the first that still fit. Returns how many were used.
uint64_t pin(uint64_t bytes, bool experts, WeightPlan& plan) {
  double all = 0, passed = 0;
  for (const WeightPiece& slice : plan.slices)
    if ((slice.expert >= 0) == experts) all += static_cast<double>(slice.bytes);
  const double share = std::min(1.0, static_cast<double>(bytes) / std::max(1.0, all));
  uint64_t used = 0;
  for (const bool spread : {true, false})
    for (size_t i = 0; i < plan.slices.size(); ++i) {
      if ((plan.slices[i].expert >= 0) != experts) continue;
      const uint64_t then = used + plan.slices[i].bytes;
      passed += static_cast<double>(plan.slices[i].bytes);
      if (plan.pinned[i] || then > bytes) continue;
      if (spread && static_cast<double>(then) > share * passed) continue;
      plan.pinned[i] = true;
      used = then;
    }
  return used;
}

// What each token reads is worth more than what some of them do.
void choose_pinned(uint64_t bytes, WeightPlan& plan) {
  plan.pinned.assign(plan.slices.size(), false);
  bytes -= pin(bytes, false, plan);
  pin(bytes, true, plan);
}

}  // namespace

bool reads_embedding_rows(const Model& model, bool whole_embedding) {
  if (!model.token_embedding || model.tied() || whole_embedding) return false;
  return model.token_embedding->data.empty() || !model.files.empty();
}

// Room for a row in floats, whichever its format.
uint64_t embedding_row_buffer_bytes(const HyperParameters& hyper) {
  return align_up(uint64_t{hyper.width} * sizeof(float), kBlock) + kBlock;
}

WeightPiece piece_of(const Model& model, const Tensor& tensor, uint64_t first_row,
                     uint64_t n_rows) {
  WeightPiece piece{&tensor, first_row, n_rows, 0, 0, 0, 0, -1};
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
  uint64_t bytes = row_buffer_bytes;
  for (const WeightPiece& piece : small) bytes += piece.bytes;
  for (size_t i = 0; i < slices.size(); ++i)
    if (pinned[i]) bytes += slices[i].bytes;
  return bytes;
}

uint64_t WeightPlan::streamed_bytes() const {
  uint64_t bytes = 0;
  for (size_t i = 0; i < slices.size(); ++i)
    if (!pinned[i]) bytes += slices[i].bytes;
  return bytes;
}

uint64_t WeightPlan::streamed_bytes(const HyperParameters& hyper) const {
  uint64_t experts = 0;
  for (size_t i = 0; i < slices.size(); ++i)
    if (!pinned[i] && slices[i].expert >= 0) experts += slices[i].bytes;
  const uint64_t met = experts ? experts / hyper.n_experts * hyper.n_experts_used : 0;
  return streamed_bytes() - experts + met;
}

WeightPlan plan_streaming(const Model& model, uint64_t bytes, bool holds_layers) {
  WeightPlan plan;
  plan.streams = true;
  plan.first_of.resize(model.tensors.size());
  plan.to_next_expert.resize(model.tensors.size());
  add_small(model, plan);
  uint32_t held = 1;  // slices in use at once
  for (const LayerWeights& w : model.layers) {
    const size_t begin = plan.slices.size();
    add_layer(model, w, plan);
    plan.ends.push_back(static_cast<uint32_t>(plan.slices.size()));
    if (holds_layers) held = std::max(held, static_cast<uint32_t>(plan.slices.size() - begin));
  }
  static_assert(std::has_single_bit(kVocabularyBlock));
  add_matrix(model, model.output, plan, holds_layers ? kVocabularyBlock : 0);
  if (holds_layers) held = std::max(held, slices_of_block(plan));
  plan.row_buffer_bytes = embedding_row_buffer_bytes(model.hyper);
  plan.pinned.assign(plan.slices.size(), false);
  for (uint32_t ahead = kSlots - 1; ahead > 0; ahead /= 2) {
    plan.n_slots = held + ahead;
    if (plan.pinned_bytes() + plan.ring_bytes() <= bytes) break;
  }
  const uint64_t others = plan.pinned_bytes() + plan.ring_bytes();
  choose_pinned(bytes > others ? bytes - others : 0, plan);
  return plan;
}

}  // namespace enxuto
