// Keys and values of the tokens so far, as plan/session_layout.h lays them out, each layer in its
// formats. A layer whose window slides keeps window + batch rows: when a pass would run over their
// end, the rows that the window still sees move to the front.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "plan/session_layout.h"

namespace enxuto {

class KvCache {
 public:
  KvCache(const HyperParameters& hyper, const SessionLayout& layout, uint8_t* memory);

  // Makes room for the rows [position, position + n) of a layer.
  void make_room(uint32_t layer, uint32_t position, int64_t n);
  // key (n_kv_heads, key_dim), value (n_kv_heads, value_dim) of one token; they are rotated in
  // place where the layer's formats want that.
  void store(const KernelTable& k, uint32_t layer, uint32_t position, float* key, float* value);
  // Whether queries must be rotated as keys are, and what attention yields be turned back.
  // Keys have outliers, which cost q8_0 too; values few, which matter to q4_0 alone.
  bool rotates_keys(uint32_t layer) const { return layers_[layer].format.key != Type::F16; }
  bool rotates_values(uint32_t layer) const { return layers_[layer].format.value == Type::Q4_0; }

  struct HeadView {
    KvRows rows;  // row 0 is position `first`
    uint32_t first;
  };
  HeadView head(uint32_t layer, uint32_t kv_head) const;
  // The first position that a token at `position` sees.
  uint32_t horizon(uint32_t layer, uint32_t position) const;
  // Whether a pass may start at `position` after the passes so far.
  bool can_continue(uint32_t position) const;

 private:
  uint8_t* row(uint32_t layer, uint32_t kv_head, uint32_t position) const;
  const HyperParameters& hyper_;
  const std::vector<KvLayer>& layers_;
  uint8_t* memory_;
  std::vector<uint32_t> first_;  // per layer: the position in its row 0
};

}  // namespace enxuto
