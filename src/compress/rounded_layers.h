// Layers of the output that a state folder has, rounded as they are written: the bytes of each
// layer's tensors, one after the other. They are one allocation's: its formats are their tag.
#pragma once

#include <algorithm>
#include <optional>

#include "compress/state.h"

namespace enxuto {

class RoundedLayers {
 public:
  // state: null where there is none; then no layer is there, and none is kept.
  static Result<RoundedLayers> open(State* state, uint64_t formats, uint32_t n_layers);

  // So many of the first layers are there.
  uint32_t count() const { return count_; }
  // body(bytes) of one of them, in pieces that `memory` holds.
  template <class Body>
  Status take(uint32_t layer, std::span<uint8_t> memory, const Body& body) const {
    ASSIGN_OR_RETURN(RecordReader reader, state_->read(name_of(layer)));
    while (reader.left() > 0) {
      const auto piece = memory.first(std::min<uint64_t>(reader.left(), memory.size()));
      TRY(reader.read(piece));
      TRY(body(piece));
    }
    return reader.finish();
  }
  // To keep another one; nothing where there is no state.
  Result<std::optional<RecordWriter>> create(uint32_t layer) const;
  // All of them, those of other allocations too.
  Status forget() const;

 private:
  RoundedLayers(State* state, uint64_t formats, uint32_t n_layers)
      : state_(state), formats_(formats), n_layers_(n_layers) {}
  static std::string name_of(uint32_t layer) { return numbered(record::kRounded, layer); }
  Result<bool> has(uint32_t layer) const;

  State* state_;
  uint64_t formats_;
  uint32_t n_layers_, count_ = 0;
};

}  // namespace enxuto
