// What training writes: the model, and checkpoints to go on from.
#pragma once

#include <string>

#include "train/trainer.h"

namespace enxuto {

// The weights as a GGUF file for everyone: matrices in F16 (BF16 where they learned in it, F32
// where F16 cannot hold them), all else in F32.
Status write_model(const Model& model, const std::string& path, bool replace);

// How far a run has come.
struct RunState {
  uint64_t step = 0;      // done
  uint64_t sequence = 0;  // the next of the training order
  uint64_t data = 0;      // fingerprint of what it learns from
  double best_loss = 0;   // the least on validation texts; 0: none yet
  uint64_t best_step = 0;
  uint32_t stale = 0;  // validations since
};

// A GGUF file of the weights as they learn, under their names, and of the moments of each,
// NAME.moments (bytes); the run's state and the optimizer under enxuto.training.*. It takes the
// place of a file of that name when it is whole.
Status write_checkpoint(Trainer& trainer, const RunState& state, Optimizer optimizer,
                        const std::string& path);

// A checkpoint, opened: its model, as any other, to open a trainer of.
class Checkpoint {
 public:
  // kBadInput where it is no checkpoint, or not whole.
  static Result<Checkpoint> open(const std::string& path);
  const std::shared_ptr<const Model>& model() const { return model_; }
  const RunState& state() const { return state_; }
  const std::string& optimizer() const { return optimizer_; }  // its name
  Type weights() const;                                        // of matrices
  // The weights; the trainer is of a model of the same shape.
  Status restore_weights(Trainer& trainer) const;
  // What the optimizer remembered, and the step. The trainer is of this model; kBadInput where the
  // moments are not as large as its optimizer's.
  Status restore(Trainer& trainer) const;

 private:
  std::shared_ptr<const Model> model_;
  std::vector<Tensor> moments_;
  RunState state_;
  std::string optimizer_;
};

}  // namespace enxuto
