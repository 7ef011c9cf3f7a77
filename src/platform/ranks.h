// Processes that mpirun started to do one thing together, and what they tell each other, by
// OpenMPI. The library is loaded where there are several only: a process that is alone neither has
// nor needs it.
//
// All of them have to make the same calls in the same order. One that dies ends all: mpirun sees to
// it.
#pragma once

#include <memory>
#include <span>

#include "base/share.h"
#include "base/status.h"

namespace enxuto {

class Ranks {
 public:
  static const Ranks& alone();
  // Those that this process was started with. Once in a process.
  static Result<std::unique_ptr<const Ranks>> join();
  ~Ranks();  // waits for the others
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  uint32_t rank() const { return rank_; }
  uint32_t size() const { return size_; }
  uint32_t on_this_machine() const { return on_this_machine_; }
  bool first() const { return rank_ == 0; }
  Share share(uint64_t n) const { return share_of(n, rank_, size_); }

  Status wait() const;  // for all
  // Each value becomes the sum of all ranks' values, the same to the bit for all of them.
  Status sum(std::span<float> values) const;
  Status sum(std::span<double> values) const;
  // Bytes of one rank, to all others into the same place.
  Status tell(uint32_t from, std::span<uint8_t> bytes) const;
  // To the first only; bytes: what it is, and on the first where it goes.
  Status tell_first(uint32_t from, std::span<uint8_t> bytes) const;

  // Ends this process and all others, for a reason that was told.
  void end_all(int exit_code) const;

 private:
  struct Library;
  Ranks();
  Status load();
  std::unique_ptr<const Library> library_;  // null: alone
  uint32_t rank_ = 0, size_ = 1, on_this_machine_ = 1;
};

}  // namespace enxuto
