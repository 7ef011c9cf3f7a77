// What training writes: the model, and checkpoints to go on from.
#pragma once

#include <string>

#include "train/trainer.h"

namespace enxuto {

// The weights as a GGUF file for everyone: matrices in F16 (BF16 where they learned in it, F32
// where F16 cannot hold them), all else in F32. The first rank writes; all have to call it, as the
// next.
Status write_model(Trainer& trainer, const std::string& path, bool replace);

// The same with the metadata and the types of another model of the same tensors, as the one that
// the weights were made from: a file of the same bytes.
Status write_model_as(Trainer& trainer, const Model& like, const std::string& path, bool replace);

// How far a run has come.
struct RunState {
  uint64_t step = 0;      // done
  uint64_t sequence = 0;  // the next of the training order
  uint64_t data = 0;      // fingerprint of what it learns from
  double best_loss = 0;   // the least on validation texts; 0: none yet
  uint64_t best_step = 0;
  uint32_t stale = 0;  // validations since
  uint64_t batch = 0;  // sequences of a step
  uint64_t steps = 0;  // of the whole run, where measured speed decided that; else 0
};

// A GGUF file of what learns (all weights, or the adapter), under its names, of the moments of
// each, NAME.moments, and where there is one of its average, NAME.average (bytes); the run's state
// under enxuto.training.*. It takes the place of a file of that name when it is whole. The first
// rank writes it, the same file as a single one would, so that any number of ranks can go on from
// it; all have to call it, and wait for it.
Status write_checkpoint(Trainer& trainer, const RunState& state, const std::string& path);

// A checkpoint, opened.
class Checkpoint {
 public:
  // kBadInput where it is no checkpoint, or not whole.
  static Result<Checkpoint> open(const std::string& path);
  // Its model, as any other, to open a trainer of; null where it is of an adapter.
  const std::shared_ptr<const Model>& model() const { return model_; }
  bool of_adapter() const { return !model_; }
  const RunState& state() const { return state_; }
  // Into a trainer of the same shape. kBadInput where it has other tensors, or another optimizer.
  Status restore_weights(Trainer& trainer) const;  // and their average
  Status restore(Trainer& trainer) const;          // and the moments, and the step

 private:
  Result<ByteView> find(const std::string& name, uint64_t bytes) const;
  void let_go() const;
  std::shared_ptr<const Model> model_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<Tensor> tensors_;
  RunState state_;
};

}  // namespace enxuto
