#include "infer/weight_stream.h"

#include <algorithm>
#include <cassert>

#include "plan/plan.h"

namespace enxuto {
namespace {

// Reads in flight: with one alone, a disk waits for us between two of them.
constexpr int kReaders = 3;

}  // namespace

Result<std::unique_ptr<WeightStream>> WeightStream::open(const Model& model, WeightPlan plan,
                                                         Arena& arena) {
  std::unique_ptr<WeightStream> stream(new WeightStream(model, std::move(plan)));
  WeightStream& s = *stream;
  if (!s.streams())
    for (const auto& file : model.files) file->expect_reuse();
  if (!s.streams() && !s.reads_embedding_rows()) return stream;
  for (const auto& file : model.files) {
    ASSIGN_OR_RETURN(auto direct, DirectFile::open(file->path()));
    s.files_.push_back(std::move(direct));
  }
  if (!s.streams()) {
    ASSIGN_OR_RETURN(const auto row,
                     arena.take<uint8_t>(owner::kEmbeddingRow, s.plan_.row_buffer_bytes));
    s.row_buffer_ = row.data();
    const Tensor& table = *model.token_embedding;
    model.files[piece_of(model, table, 0, 1).file]->set_apart(table.data);
    return stream;
  }
  ASSIGN_OR_RETURN(const auto pinned,
                   arena.take<uint8_t>(owner::kPinnedWeights, s.plan_.pinned_bytes()));
  uint8_t* at = pinned.data();
  s.small_.resize(model.tensors.size());
  for (const WeightPiece& piece : s.plan_.small) {
    TRY(s.read_piece(piece, at));
    s.small_[model.index_of(*piece.tensor)] = at + piece.skip;
    at += piece.bytes;
  }
  s.pinned_.resize(s.plan_.slices.size());
  s.order_sweep(false);
  for (uint32_t u = 0; u < s.plan_.slices.size(); ++u) {
    if (!s.plan_.pinned[u]) continue;
    TRY(s.read_piece(s.plan_.slices[u], at));
    s.pinned_[u] = at;
    at += s.plan_.slices[u].bytes;
  }
  s.row_buffer_ = at;
  if (s.streamed_.empty()) return stream;
  uint32_t layer = 0;
  for (uint32_t u = 0; u < s.plan_.slices.size(); ++u) {
    while (layer < s.plan_.ends.size() && u >= s.plan_.ends[layer]) ++layer;
    s.layer_of_.push_back(layer);
  }
  s.met_.resize(model.hyper.n_experts);
  ASSIGN_OR_RETURN(const auto ring, arena.take<uint8_t>(owner::kWeightRing, s.plan_.ring_bytes()));
  s.ring_ = ring.data();
  s.slots_.resize(s.plan_.n_slots);
  for (int i = 0; i < kReaders; ++i) s.readers_.emplace_back([&s] { s.read_ahead(); });
  return stream;
}

WeightStream::~WeightStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& reader : readers_) reader.join();
}

Status WeightStream::read_piece(const WeightPiece& p, uint8_t* memory) {
  return files_[p.file]->read(p.begin, memory, p.bytes, p.skip + p.n_rows * p.tensor->row_bytes());
}

// Whether the next slice is an expert's, and it is not known yet if that is met.
bool WeightStream::waits_for_experts() const {
  const uint32_t u = streamed_[at_];
  return plan_.slices[u].expert >= 0 && layer_of_[u] != known_layer_;
}

// To the next slice. What was known of experts is no more where they end.
void WeightStream::step() {
  const uint32_t u = streamed_[at_];
  at_ = (at_ + 1) % streamed_.size();
  const uint32_t next = streamed_[at_];
  const bool more = at_ != 0 && plan_.slices[next].expert >= 0 && layer_of_[next] == layer_of_[u];
  if (plan_.slices[u].expert >= 0 && layer_of_[u] == known_layer_ && !more) known_layer_ = kNone;
}

// Past the experts that are known not to be met.
void WeightStream::pass_unmet() {
  while (known_layer_ != kNone) {
    const uint32_t u = streamed_[at_];
    const int32_t expert = plan_.slices[u].expert;
    if (expert < 0 || layer_of_[u] != known_layer_ || met_[static_cast<size_t>(expert)]) return;
    step();
  }
}

void WeightStream::meet(uint32_t layer, const float* shares, int64_t n_tokens) {
  if (streamed_.empty() || !held_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    known_layer_ = layer;
    std::ranges::fill(met_, 0);
    for (int64_t t = 0; t < n_tokens; ++t)
      for (size_t e = 0; e < met_.size(); ++e)
        met_[e] |= shares[static_cast<size_t>(t) * met_.size() + e] != 0;
    pass_unmet();
  }
  changed_.notify_all();
}

// A reading thread: fills the next free slot in the order of the sweep, which begins anew where
// acquire() jumped. What is read for a sweep that is over is forgotten.
void WeightStream::read_ahead() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] {
      return stop_ || (status_.ok() && next_ < released_ + plan_.n_slots &&
                       !slots_[slot_of(next_)].reading && !waits_for_experts());
    });
    if (stop_) return;
    const uint64_t turn = next_++;
    Slot& slot = slots_[slot_of(turn)];
    slot.slice = streamed_[at_];
    slot.reading = true;
    const WeightPiece& piece = plan_.slices[slot.slice];
    step();
    pass_unmet();
    if (n_reading_++ == 0) reading_since_ = std::chrono::steady_clock::now();
    lock.unlock();
    const Status status = read_piece(piece, memory_of(turn));
    lock.lock();
    slot.reading = false;
    statistics_.bytes_read += piece.bytes;
    if (--n_reading_ == 0)
      statistics_.read_seconds +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - reading_since_).count();
    if (status.ok())
      slot.filled = turn + 1;
    else
      status_ = status;
    changed_.notify_all();
  }
}

uint32_t WeightStream::first_slice(const Tensor& tensor, int64_t expert) const {
  const auto i = model_.index_of(tensor);
  return plan_.first_of[i] + static_cast<uint32_t>(expert) * plan_.to_next_expert[i];
}

Result<const uint8_t*> WeightStream::acquire(uint32_t u) {
  if (pinned_[u]) return static_cast<const uint8_t*>(pinned_[u] + plan_.slices[u].skip);
  if (u >= held_begin_ && u < held_end_) return held_[u - held_begin_];
  return take(u);
}

// The next turn of the ring, which is slice `u`'s.
Result<const uint8_t*> WeightStream::take(uint32_t u) {
  std::unique_lock lock(mutex_);
  const uint32_t next = taken_ < next_ ? slots_[slot_of(taken_)].slice : streamed_[at_];
  if (next != u) {  // out of order
    taken_ = released_ = next_;
    at_ = rank_[u];
    changed_.notify_all();
  }
  if (taken_ == next_ && waits_for_experts()) {  // whose layer is held: all are wanted
    known_layer_ = layer_of_[u];
    std::ranges::fill(met_, 1);
    changed_.notify_all();
  }
  const uint64_t turn = taken_;
  changed_.wait(lock, [&] { return !status_.ok() || slots_[slot_of(turn)].filled == turn + 1; });
  TRY(status_);
  ++taken_;
  return static_cast<const uint8_t*>(memory_of(turn) + plan_.slices[u].skip);
}

void WeightStream::release(uint32_t u) {
  if (pinned_[u] || (u >= held_begin_ && u < held_end_)) return;
  {
    const std::lock_guard lock(mutex_);
    ++released_;
  }
  changed_.notify_all();
}

Status WeightStream::hold(uint32_t layer) {
  return plan_.streams ? hold_slices(plan_.begin_of_layer(layer), plan_.ends[layer]) : Status();
}

Result<WeightRows> WeightStream::hold_rows(const Tensor& matrix, uint64_t first, uint64_t n) {
  const uint64_t row_bytes = matrix.row_bytes();
  WeightRows rows = {
      matrix.type, static_cast<int64_t>(n), static_cast<int64_t>(matrix.columns()), row_bytes, {}};
  if (!plan_.streams) {
    rows.pieces.push_back({0, matrix.data.data() + first * row_bytes});
    return rows;
  }
  const auto& slices = plan_.slices;
  uint32_t begin = plan_.first_of[model_.index_of(matrix)];
  while (slices[begin].first_row + slices[begin].n_rows <= first) ++begin;
  uint32_t end = begin;
  while (end < slices.size() && slices[end].tensor == &matrix && slices[end].first_row < first + n)
    ++end;
  TRY(hold_slices(begin, end));
  for (uint32_t u = begin; u < end; ++u) {
    const uint64_t row = std::max(slices[u].first_row, first);
    rows.pieces.push_back({static_cast<int64_t>(row - first),
                           held_[u - begin] + (row - slices[u].first_row) * row_bytes});
  }
  return rows;
}

Status WeightStream::hold_slices(uint32_t begin, uint32_t end) {
  assert(held_.empty() && plan_.n_slots >= end - begin);
  {
    const std::lock_guard lock(mutex_);
    known_layer_ = kNone;
  }
  for (uint32_t u = begin; u < end; ++u) {
    Result<const uint8_t*> place =
        pinned_[u] ? Result<const uint8_t*>(pinned_[u] + plan_.slices[u].skip) : take(u);
    if (!place.ok()) {
      held_.clear();
      return place.status();
    }
    held_.push_back(*place);
  }
  held_begin_ = begin, held_end_ = end;
  return {};
}

void WeightStream::let_go() {
  if (held_.empty()) return;
  const uint32_t begin = held_begin_, end = held_end_;
  held_begin_ = held_end_ = 0;
  held_.clear();
  for (uint32_t u = begin; u < end; ++u) release(u);
}

void WeightStream::walk_back(bool back) {
  if (streamed_.empty() || back == back_) return;
  {
    const std::lock_guard lock(mutex_);
    order_sweep(back);
    taken_ = released_ = next_;
    at_ = 0;
    known_layer_ = kNone;
  }
  changed_.notify_all();
}

// Slices of a layer are in order either way; the head's come last.
void WeightStream::order_sweep(bool back) {
  const auto n_layers = static_cast<uint32_t>(plan_.ends.size());
  const auto n_slices = static_cast<uint32_t>(plan_.slices.size());
  streamed_.clear();
  rank_.assign(n_slices, 0);
  const auto add = [&](uint32_t begin, uint32_t end) {
    for (uint32_t u = begin; u < end; ++u) {
      if (plan_.pinned[u]) continue;
      rank_[u] = static_cast<uint32_t>(streamed_.size());
      streamed_.push_back(u);
    }
  };
  for (uint32_t i = 0; i < n_layers; ++i) {
    const uint32_t layer = back ? n_layers - 1 - i : i;
    add(plan_.begin_of_layer(layer), plan_.ends[layer]);
  }
  add(plan_.begin_of_layer(n_layers), n_slices);
  back_ = back;
}

const uint8_t* WeightStream::data(const Tensor& tensor) const {
  if (!plan_.streams) return tensor.data.data();
  const uint8_t* place = small_[model_.index_of(tensor)];
  return place ? place : tensor.data.data();  // converted norms lie in the model itself
}

WeightRows WeightStream::rows(const Tensor& tensor) const {
  WeightRows rows = {tensor.type,
                     static_cast<int64_t>(tensor.rows()),
                     static_cast<int64_t>(tensor.columns()),
                     tensor.row_bytes(),
                     {}};
  if (!plan_.streams || tensor.n_dims == 1) {
    rows.pieces.push_back({0, data(tensor)});
    return rows;
  }
  for (uint32_t u = held_begin_; u < held_end_; ++u)
    if (plan_.slices[u].tensor == &tensor)
      rows.pieces.push_back(
          {static_cast<int64_t>(plan_.slices[u].first_row), held_[u - held_begin_]});
  assert(!rows.pieces.empty());
  return rows;
}

Result<const uint8_t*> WeightStream::embedding_row(uint64_t row) {
  const Tensor& table = *model_.token_embedding;
  const WeightPiece p = piece_of(model_, table, row, 1);
  TRY(read_piece(p, row_buffer_));
  return static_cast<const uint8_t*>(row_buffer_ + p.skip);
}

StreamStatistics WeightStream::statistics() const {
  const std::lock_guard lock(mutex_);
  StreamStatistics statistics = statistics_;
  statistics.bytes_per_pass = plan_.streamed_bytes(model_.hyper);
  return statistics;
}

}  // namespace enxuto
