// Held-out texts in several states of pruning, side by side from layer to layer, and how far each
// ends from where the whole model would have ended: the true KL divergence of what comes out.
#pragma once

#include <span>
#include <vector>

#include "compress/workbench.h"

namespace enxuto {

class ProbeTexts {
 public:
  // Room for so many states, at the beginning of a stage; state 0 is embedded.
  static Result<ProbeTexts> begin(const Workbench& bench,
                                  const std::vector<std::vector<Token>>& chunks, size_t n_states);

  // A state begins at the embedding.
  Status embed(size_t state);
  // State `to` becomes as `from` is now.
  Status fork(size_t from, size_t to);
  // Through a layer, with the session's hooks.
  Status run(size_t state, uint32_t layer);
  // The mean divergence of each state from state `reference`, in nats; all have gone through the
  // last layer they have.
  Result<std::vector<double>> divergences(size_t reference, std::span<const size_t> states);

 private:
  ProbeTexts(const Workbench& bench, const std::vector<std::vector<Token>>& chunks, HiddenStates s)
      : bench_(bench), chunks_(chunks), states_(std::move(s)) {}
  const Workbench& bench_;
  const std::vector<std::vector<Token>>& chunks_;
  HiddenStates states_;
  std::span<float> expected_;  // logits of the reference, some rows
};

}  // namespace enxuto
