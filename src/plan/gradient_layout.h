// Where each piece of memory of the way back lies: one text of n_tokens through one layer, there
// and back, in f32. The plan adds it up and train/ carves by the same offsets. Pieces that are
// never alive together share bytes:
//
//   x | normed | q k v | attended | middle | projected | fed | branch | …
//                           | gate up act, the way there      | products | attention
//                           | dq dk dv dattended, the way back
//                           | logits, at the head
//   low dlow, beside an adapter
//
// Of a mixture of experts, gate up and act are of one expert at a time, which the way back always
// computes again; beside them are each token's probabilities and shares of all experts, and the
// rows of those tokens that meet the one at hand.
#pragma once

#include <cstdint>

#include "base/checked.h"
#include "base/status.h"
#include "models/model.h"

namespace enxuto {

// Rows of the head whose logits are alive at once.
inline constexpr uint32_t kVocabularyBlock = 4096;

struct GradientLayout {  // in bytes
  uint32_t n_tokens;
  int n_threads;
  uint64_t angles, sliding_angles;
  uint64_t x, normed, q, k, v, attended, log_sums;
  uint64_t qkv;           // side by side, where one matrix gives them, and their gradients
  uint64_t raw_q, raw_k;  // before the head norms, where there are any
  uint64_t middle, projected, fed, branch;
  uint64_t gate, up, act;
  uint64_t probabilities, shares, dshares, shared_share;  // of a mixture
  uint64_t met, gathered, dgathered, dact;
  uint64_t dq, dk, dv, dattended;
  uint64_t logits;
  uint64_t low, dlow;            // of an adapter: of one matrix, of the three of one input
  uint64_t products, attention;  // scratch of the kernels
  bool rounds;
  uint64_t rounded;  // two inputs of a product in bf16, where they are rounded
  uint64_t bytes;
  uint64_t kept_end, kept_gates;
  // Of [q, kept_end), and the first kept_gates bytes of [gate, act), which the way back computes
  // again where they are not kept.
  uint64_t kept_bytes() const { return kept_end - q + kept_gates; }
  // The room for rounded inputs in memory of this layout; null where nothing is rounded.
  uint16_t* rounded_in(uint8_t* memory) const {
    return rounds ? reinterpret_cast<uint16_t*>(memory + rounded) : nullptr;
  }
};

// rank: the most of an adapter; 0: there is none. rounds: products are of numbers in bf16.
// kDoesNotFit where a size is beyond reason.
Result<GradientLayout> lay_out_gradients(const Model& model, uint32_t n_tokens, int n_threads,
                                         uint64_t rank = 0, bool rounds = false);

// The input of a layer for so many tokens, in bf16, as it lies in memory or in a file.
OptionalSize checkpoint_bytes(const HyperParameters& hyper, uint64_t tokens);

}  // namespace enxuto
