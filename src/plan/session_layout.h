// Where each piece of a session's memory lies, to the byte. The plan adds these numbers up and the
// session carves its arena by them: nothing is sized twice.
//
// One pass of `batch` tokens works in pieces that share bytes where they are never alive together:
//
//   hidden  | wide                          | projections                  | angles | prepared |
//   low (width) | normed, attended, FFN's output | q k v; attention's output;   |        | codes of
//   a
//           |                               | gate up                      |        | linear's
//           input
//
// A mixture of experts has beside these each token's share of each expert, and for one expert at a
// time the tokens that meet it: which they are, and what goes into it and comes out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "models/adapter.h"

namespace enxuto {

// Tokens that one pass may verify beyond the one that is certain.
inline constexpr uint32_t kMostDrafted = 63;

// How a layer keeps its keys and values: F16, Q8_0 or Q4_0, as -ctk and -ctv say.
struct KvFormat {
  Type key = Type::F16, value = Type::F16;
  bool operator==(const KvFormat&) const = default;
};

struct InferenceRequest {
  uint32_t context = 0;     // tokens; 0: min(trained context, 4096)
  uint32_t batch = 192;     // most tokens of one pass
  uint32_t logit_rows = 1;  // rows of logits wanted from one pass
  uint32_t draft = 0;       // most tokens guessed ahead and verified in one pass
  uint32_t sequences = 1;   // texts at the same time, each with a cache of its own
  int n_threads = 1;
  std::vector<KvFormat> kv;   // of the first layers; the last one of all others too; empty: f16
  uint64_t memory_bytes = 0;  // the budget; 0: none. Weights that do not fit it are streamed
  bool whole_embedding =
      false;                 // the token embedding is used as a matrix, also where it is no head
  bool holds_layers = true;  // Session::hold_layer works where weights are streamed
  uint64_t tokenizer_bytes = 0;  // as Tokenizer::table_bytes says; 0: estimated from the vocabulary
  std::shared_ptr<const Adapter> adapter;  // what is added to the weights; null: nothing
};

// One layer's cache: (n_heads, rows, row_bytes); a head's key and value of one position lie side
// by side.
struct KvLayer {
  uint64_t offset;   // in bytes
  uint32_t n_heads;  // of keys and values; 0: the layer has no attention
  uint32_t rows;     // the context, or less where the layer's window slides
  KvFormat format;
  uint64_t key_bytes, value_bytes;  // of one head at one position; 0: heads that it cannot hold
  uint64_t row_bytes() const { return key_bytes + value_bytes; }
  void set_format(const HyperParameters& hyper, KvFormat format_);
};

struct ScratchLayout {  // in bytes
  uint64_t hidden, wide, projections, angles, sliding_angles, prepared;
  uint64_t shares, met, gathered;
  uint64_t low;  // inputs as an adapter's narrow matrices make them
  uint64_t bytes;
};

struct SessionLayout {
  uint32_t context, batch, logit_rows, sequences;
  uint32_t draft;  // less than batch and logit_rows
  int n_threads;
  uint64_t widest_input;    // columns of the widest linear layer
  std::vector<KvLayer> kv;  // of one sequence
  uint64_t kv_bytes;        // of all sequences
  ScratchLayout scratch;
  uint64_t logits_bytes;
  uint64_t lookup_bytes;   // where the text so far is looked up for drafts
  uint64_t adapter_bytes;  // of an adapter from a file, as floats
};

// Of the lookup, in powers of two: as many as the context has tokens, in reason.
uint32_t lookup_heads(uint32_t context);

// Bytes of n_values of one head in a cache format; 0 where the format cannot hold so many.
uint64_t kv_row_bytes(Type type, uint32_t n_values);

// kUsage where the request makes no sense for this model, kDoesNotFit where a size overflows.
Result<SessionLayout> lay_out_session(const Model& model, const InferenceRequest& request);

}  // namespace enxuto
