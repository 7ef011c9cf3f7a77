#include "infer/weight_stream.h"

#include <chrono>
#include <utility>

#include "plan/plan.h"

namespace enxuto {

Result<std::unique_ptr<WeightStream>> WeightStream::open(const Model& model, WeightPlan plan,
                                                         Arena& arena) {
  std::unique_ptr<WeightStream> stream(new WeightStream(model, std::move(plan)));
  WeightStream& s = *stream;
  if (!s.streams()) return stream;
  for (const auto& file : model.files) {
    ASSIGN_OR_RETURN(auto direct, DirectFile::open(file->path()));
    s.files_.push_back(std::move(direct));
  }
  s.places_.resize(model.tensors.size());
  ASSIGN_OR_RETURN(const auto pinned,
                   arena.take<uint8_t>(owner::kPinnedWeights, s.plan_.pinned_bytes()));
  uint8_t* at = pinned.data();
  for (uint32_t u = 0; u <= s.plan_.n_pinned; ++u) {
    const WeightUnit& unit = u == 0 ? s.plan_.small : s.plan_.units[u - 1];
    TRY(s.read_unit(unit, at));
    // A pinned slice of the head is placed when it is acquired: only one of them is the head's
    // place at a time.
    s.pinned_at_.push_back(at);
    if (u == 0) s.place(unit, at);
    at += unit.bytes;
  }
  s.row_buffer_ = at;
  if (s.n_streamed() == 0) return stream;
  ASSIGN_OR_RETURN(const auto ring, arena.take<uint8_t>(owner::kWeightRing, s.plan_.ring_bytes()));
  s.ring_ = ring.data();
  s.reader_ = std::thread([&s] { s.read_ahead(); });
  return stream;
}

WeightStream::~WeightStream() {
  if (!reader_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  reader_.join();
}

Status WeightStream::read_unit(const WeightUnit& unit, uint8_t* memory) {
  for (const WeightPiece& p : unit.pieces) {
    TRY(files_[p.file]->read(p.begin, memory, p.bytes, p.skip + p.n_rows * p.tensor->row_bytes()));
    memory += p.bytes;
  }
  return {};
}

void WeightStream::place(const WeightUnit& unit, uint8_t* memory) {
  for (const WeightPiece& p : unit.pieces) {
    places_[static_cast<size_t>(p.tensor - model_.tensors.data())] = memory + p.skip;
    memory += p.bytes;
  }
}

// The reading thread: fills free slots in the order of the sweep, and begins anew where acquire()
// jumped.
void WeightStream::read_ahead() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (status_.ok() && filled_ < used_ + plan_.n_slots); });
    if (stop_) return;
    const uint64_t turn = filled_, sweep = sweep_;
    const WeightUnit& unit = plan_.units[plan_.n_pinned + (first_ + turn) % n_streamed()];
    lock.unlock();
    const auto start = std::chrono::steady_clock::now();
    const Status status = read_unit(unit, slot(turn));
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    lock.lock();
    statistics_.bytes_read += unit.bytes;
    statistics_.read_seconds += seconds;
    if (sweep == sweep_) {
      if (status.ok())
        ++filled_;
      else
        status_ = status;
    }
    changed_.notify_all();
  }
}

Status WeightStream::acquire(uint32_t u) {
  if (!plan_.streams || u == held_) return {};
  if (u < plan_.n_pinned) {
    place(plan_.units[u], pinned_at_[u + 1]);
    return {};
  }
  std::unique_lock lock(mutex_);
  const uint32_t streamed = u - plan_.n_pinned;
  if ((first_ + used_) % n_streamed() != streamed) {  // out of order: forget what was read ahead
    ++sweep_;
    first_ = streamed, filled_ = used_ = 0;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return !status_.ok() || filled_ > used_; });
  TRY(status_);
  place(plan_.units[u], slot(used_));
  return {};
}

void WeightStream::release(uint32_t u) {
  if (!plan_.streams || u < plan_.n_pinned || u == held_) return;
  {
    const std::lock_guard lock(mutex_);
    ++used_;
  }
  changed_.notify_all();
}

Status WeightStream::hold(uint32_t u) {
  TRY(acquire(u));
  held_ = u;
  return {};
}

void WeightStream::let_go() {
  if (const auto u = std::exchange(held_, std::nullopt)) release(*u);
}

const uint8_t* WeightStream::data(const Tensor& tensor) const {
  if (!plan_.streams) return tensor.data.data();
  const uint8_t* place = places_[static_cast<size_t>(&tensor - model_.tensors.data())];
  return place ? place : tensor.data.data();  // converted norms lie in the model itself
}

Result<const uint8_t*> WeightStream::embedding_row(uint64_t row) {
  const Tensor& table = *model_.token_embedding;
  if (!plan_.streams) return table.row(row).data();
  const WeightPiece p = piece_of(model_, table, row, 1);
  TRY(files_[p.file]->read(p.begin, row_buffer_, p.bytes, p.skip + table.row_bytes()));
  return static_cast<const uint8_t*>(row_buffer_ + p.skip);
}

StreamStatistics WeightStream::statistics() const {
  const std::lock_guard lock(mutex_);
  StreamStatistics statistics = statistics_;
  statistics.bytes_per_pass = plan_.streamed_bytes();
  return statistics;
}

}  // namespace enxuto
