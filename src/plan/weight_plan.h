// Where the weights lie while a model runs: mapped from the file where they fit, else cut into
// slices, of which some are pinned in memory and the rest stream through a ring.
//
// A pass is a cyclic sweep over all weights: the least recently used page is always the next one
// needed, so a cache is the worst policy and a fixed set the best. It is spread evenly over the
// pass, so that the disk is never idle while pinned weights are multiplied. Pure: no I/O.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "models/model.h"

namespace enxuto {

// Rows of one tensor as a read of whole blocks: `bytes` of the file's from `begin` on hold them,
// after `skip`.
struct WeightPiece {
  const Tensor* tensor;
  uint64_t first_row, n_rows;
  uint32_t file;  // index into Model::files
  uint64_t begin, bytes, skip;
  int32_t expert = -1;  // of a mixture, whose rows they are; -1: of no single one
};

struct WeightPlan {
  bool streams = false;
  std::vector<WeightPiece> small;   // norms, biases, positions: always in memory
  std::vector<WeightPiece> slices;  // rows of matrices, in the order in which a pass uses them
  std::vector<bool> pinned;         // by slice: stays in memory
  std::vector<uint32_t> ends;       // of each layer's slices; those after are the head's
  // By index of the tensor in the model: its first slice, and of experts' how many slices further
  // the next one's first is (all that a token asks of an expert lies together).
  std::vector<uint32_t> first_of, to_next_expert;
  uint32_t n_slots = 0;  // of the ring, a slice in each
  uint64_t slot_bytes = 0;
  uint64_t row_buffer_bytes = 0;  // of the token embedding, where its rows are read as needed

  uint64_t pinned_bytes() const;  // row buffer included
  uint64_t ring_bytes() const { return n_slots * slot_bytes; }
  uint64_t streamed_bytes() const;  // read in each pass, where it meets all experts
  uint64_t streamed_bytes(const HyperParameters& hyper) const;  // in one of one token
  uint32_t begin_of_layer(uint32_t layer) const { return layer == 0 ? 0 : ends[layer - 1]; }
};

// Whether a pass reads the rows of the token embedding that it needs from the file, also where
// nothing streams: an embedding that is not the head is never in memory whole.
bool reads_embedding_rows(const Model& model, bool whole_embedding);
uint64_t embedding_row_buffer_bytes(const HyperParameters& hyper);

// Rows of a tensor that lies in one of the model's files; no bytes where it lies in none (converted
// norms).
WeightPiece piece_of(const Model& model, const Tensor& tensor, uint64_t first_row, uint64_t n_rows);

// The plan that streams within `bytes`, or where that is not possible the smallest one.
// holds_layers: the ring has room for all of a layer at once, or of a block of the head
// (kVocabularyBlock), where its slices end.
WeightPlan plan_streaming(const Model& model, uint64_t bytes, bool holds_layers);

}  // namespace enxuto
