// Batches of a training in their order: of each rank its share, with what a teacher says of their
// tokens.
#pragma once

#include "data/sequences.h"
#include "train/teacher.h"
#include "train/trainer.h"

namespace enxuto {

// Of the texts kept for validation, so many are used.
inline constexpr uint64_t kMostValidationSequences = 128;

class Batches {
 public:
  // teacher: of a trainer with one, else null.
  Batches(Trainer& trainer, const Sequences& data, const Teacher* teacher);

  // n sequences from the i-th on, at most the trainer's; valid until the next call.
  Batch training(uint64_t i, uint64_t n) { return own_share(false, i, n); }
  // The mean over the texts kept for it, batch by batch; always the same ones. tokens 0: none.
  Result<StepResult> validate();

 private:
  Batch own_share(bool validates, uint64_t first, uint64_t n);
  Trainer& trainer_;
  const Sequences& data_;
  const Teacher* teacher_;
  std::vector<Token> tokens_;
  std::vector<uint8_t> counts_;
};

}  // namespace enxuto
