// Gives the forward pass its weights where the plan put them: in the mapped file, pinned in the
// arena, or just read into a slot of the ring by threads that are some slices ahead.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "infer/session.h"
#include "memory/arena.h"
#include "plan/weight_plan.h"
#include "platform/direct_file.h"

namespace enxuto {

class WeightStream {
 public:
  // Reads what is pinned. A plan that does not stream needs no thread, and memory for a row at
  // most.
  static Result<std::unique_ptr<WeightStream>> open(const Model& model, WeightPlan plan,
                                                    Arena& arena);
  ~WeightStream();
  WeightStream(const WeightStream&) = delete;
  WeightStream& operator=(const WeightStream&) = delete;

  bool streams() const { return plan_.streams; }
  bool reads_embedding_rows() const { return plan_.row_buffer_bytes > 0; }
  const WeightPlan& plan() const { return plan_; }

  // Which experts of the layer a pass meets, known before their first slice is acquired: those that
  // no token has a share of are not read. shares: (n_tokens, n_experts).
  void meet(uint32_t layer, const float* shares, int64_t n_tokens);
  // Of the plan, where the tensor's rows begin; of experts, this one's.
  uint32_t first_slice(const Tensor& tensor, int64_t expert) const;
  // Slice `u` of the plan is in memory until release(u). One at a time.
  Result<const uint8_t*> acquire(uint32_t u);
  void release(uint32_t u);
  // A layer's slices stay in memory, however often they are acquired and released, until let_go().
  Status hold(uint32_t layer);
  // The same of some rows of a matrix; where a plan that streams holds layers, of one of them or of
  // a block of the head.
  Result<WeightRows> hold_rows(const Tensor& matrix, uint64_t first, uint64_t n);
  void let_go();
  // Layers are held from the last to the first from now on, or from the first to the last again:
  // what is read ahead follows.
  void walk_back(bool back);

  // Where the tensor lies; of a streamed matrix, in the mapped file.
  const uint8_t* data(const Tensor& tensor) const;
  // The same in all its pieces, of a tensor of the layer that is held.
  WeightRows rows(const Tensor& tensor) const;
  // One row of the token embedding, (row_bytes), read from the file; where the plan says so. Valid
  // until the next call.
  Result<const uint8_t*> embedding_row(uint64_t row);

  StreamStatistics statistics() const;

 private:
  WeightStream(const Model& model, WeightPlan plan) : model_(model), plan_(std::move(plan)) {}
  Status read_piece(const WeightPiece& piece, uint8_t* memory);
  void read_ahead();
  Result<const uint8_t*> take(uint32_t u);
  Status hold_slices(uint32_t begin, uint32_t end);
  void order_sweep(bool back);
  uint32_t slot_of(uint64_t turn) const { return static_cast<uint32_t>(turn % plan_.n_slots); }
  uint8_t* memory_of(uint64_t turn) const { return ring_ + slot_of(turn) * plan_.slot_bytes; }
  bool waits_for_experts() const;
  void step();
  void pass_unmet();

  const Model& model_;
  WeightPlan plan_;
  std::vector<std::unique_ptr<DirectFile>> files_;
  std::vector<const uint8_t*> small_;  // by index of the tensor in the model
  std::vector<uint8_t*> pinned_;       // by slice; null: streamed
  std::vector<uint32_t> streamed_;     // the slices that are, in the order of the sweep
  std::vector<uint32_t> rank_;         // by slice: its place among them
  std::vector<uint32_t> layer_of_;     // by slice
  uint8_t* row_buffer_ = nullptr;
  uint8_t* ring_ = nullptr;
  uint32_t held_begin_ = 0, held_end_ = 0;
  std::vector<const uint8_t*> held_;  // where they lie

  // Turns count slices for ever. The next one's slice is streamed_[at_].
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0, taken_ = 0, released_ = 0;  // turns given to a reader, handed out, free again
  uint64_t at_ = 0;
  // Of a mixture: the layer whose experts are known to be met or not, until at_ is past them.
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t known_layer_ = kNone;
  std::vector<uint8_t> met_;
  struct Slot {
    bool reading = false;
    uint32_t slice = 0;
    uint64_t filled = 0;  // the turn that it holds, plus one
  };
  std::vector<Slot> slots_;
  bool back_ = false;
  int n_reading_ = 0;
  std::chrono::steady_clock::time_point reading_since_;
  bool stop_ = false;
  Status status_;
  StreamStatistics statistics_;
  std::vector<std::thread> readers_;
};

}  // namespace enxuto
