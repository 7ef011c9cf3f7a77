// Gives the forward pass its weights where the plan put them: in the mapped file, pinned in the
// arena, or just read into a slot of the ring by a thread that is one unit ahead.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "infer/session.h"
#include "memory/arena.h"
#include "plan/weight_plan.h"
#include "platform/direct_file.h"

namespace enxuto {

class WeightStream {
 public:
  // Reads what is pinned. A plan that does not stream needs no memory and no thread.
  static Result<std::unique_ptr<WeightStream>> open(const Model& model, WeightPlan plan,
                                                    Arena& arena);
  ~WeightStream();
  WeightStream(const WeightStream&) = delete;
  WeightStream& operator=(const WeightStream&) = delete;

  bool streams() const { return plan_.streams; }
  const WeightPlan& plan() const { return plan_; }

  // Unit `u` is in memory until release(u). One at a time.
  Status acquire(uint32_t u);
  void release(uint32_t u);
  // Unit `u` stays in memory, however often it is acquired and released, until let_go().
  Status hold(uint32_t u);
  void let_go();

  // Where the tensor's first row (or its slice's) lies now. Null for a matrix whose unit is not
  // acquired.
  const uint8_t* data(const Tensor& tensor) const;
  // One row of the token embedding, (row_bytes): read from the file where it is not in memory.
  // Valid until the next call.
  Result<const uint8_t*> embedding_row(uint64_t row);

  StreamStatistics statistics() const;

 private:
  WeightStream(const Model& model, WeightPlan plan) : model_(model), plan_(std::move(plan)) {}
  Status read_unit(const WeightUnit& unit, uint8_t* memory);
  void place(const WeightUnit& unit, uint8_t* memory);
  void read_ahead();
  uint32_t n_streamed() const { return static_cast<uint32_t>(plan_.units.size()) - plan_.n_pinned; }
  uint8_t* slot(uint64_t turn) const { return ring_ + turn % plan_.n_slots * plan_.slot_bytes; }

  const Model& model_;
  WeightPlan plan_;
  std::vector<std::unique_ptr<DirectFile>> files_;
  std::vector<const uint8_t*> places_;  // by index of the tensor in the model
  std::vector<uint8_t*> pinned_at_;     // the small ones, then the first units
  uint8_t* row_buffer_ = nullptr;
  uint8_t* ring_ = nullptr;
  std::optional<uint32_t> held_;

  // Turns count units since the sweep began at `first_`; turn t is unit n_pinned + (first_ + t) %
  // n_streamed.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t first_ = 0, filled_ = 0, used_ = 0;  // turns read, turns released
  uint64_t sweep_ = 0;                          // counts jumps out of order
  bool stop_ = false;
  Status status_;
  StreamStatistics statistics_;
  std::thread reader_;
};

}  // namespace enxuto
