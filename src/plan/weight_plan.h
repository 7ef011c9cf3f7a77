// Where the weights lie while a model runs: mapped from the file where they fit, else a pinned
// prefix in memory and the rest streamed through a ring, in the order in which a pass uses them.
//
// A pass is a cyclic sweep over all weights: the least recently used page is always the next one
// needed, so a cache is the worst policy and a pinned prefix the best. Pure: no I/O.
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
};

// What is read at once and used at once: a layer's matrices, or some rows of the head.
struct WeightUnit {
  std::vector<WeightPiece> pieces;
  uint64_t bytes = 0;
};

struct WeightPlan {
  bool streams = false;
  WeightUnit small;               // norms and biases: always in memory
  std::vector<WeightUnit> units;  // layers in order, then the head's slices
  uint32_t n_layers = 0;          // so many of the units are layers
  uint32_t n_pinned = 0;          // so many of the first units stay in memory
  uint32_t n_slots = 0;           // of the ring
  uint64_t slot_bytes = 0;
  uint64_t row_buffer_bytes =
      0;  // one row of the token embedding, which a pass reads as it needs it

  uint64_t pinned_bytes() const;  // row buffer included
  uint64_t ring_bytes() const { return n_slots * slot_bytes; }
  uint64_t streamed_bytes() const;  // read in each pass
};

// Rows of a tensor that lies in one of the model's files; no bytes where it lies in none (converted
// norms).
WeightPiece piece_of(const Model& model, const Tensor& tensor, uint64_t first_row, uint64_t n_rows);

// The plan that streams within `bytes`, or where that is not possible the smallest one.
WeightPlan plan_streaming(const Model& model, uint64_t bytes);

}  // namespace enxuto
