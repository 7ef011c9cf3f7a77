// Keys and values of the tokens so far, f16, as plan/session_layout.h lays them out. A layer whose
// window slides keeps window + batch rows: when a pass would run over their end, the rows that the
// window still sees move to the front.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "plan/session_layout.h"

namespace enxuto {

class KvCache {
 public:
  KvCache(const HyperParameters& hyper, const SessionLayout& layout, uint16_t* memory);

  // Makes room for the rows [position, position + n) of a layer.
  void make_room(uint32_t layer, uint32_t position, int64_t n);
  // key (n_kv_heads, key_dim), value (n_kv_heads, value_dim) of one token.
  void store(const KernelTable& k, uint32_t layer, uint32_t position, const float* key,
             const float* value);

  struct HeadView {
    const uint16_t *keys, *values;  // row 0 is position `first`
    int64_t stride;                 // halves
    uint32_t first;
  };
  HeadView head(uint32_t layer, uint32_t kv_head) const;
  // The first position that a token at `position` sees.
  uint32_t horizon(uint32_t layer, uint32_t position) const;
  // Whether a pass may start at `position` after the passes so far.
  bool can_continue(uint32_t position) const;

 private:
  uint16_t* row(uint32_t layer, uint32_t kv_head, uint32_t position) const;
  const HyperParameters& hyper_;
  const std::vector<KvLayer>& layers_;
  uint16_t* memory_;
  int64_t stride_;               // halves of one head's row: key and value
  std::vector<uint32_t> first_;  // per layer: the position in its row 0
};

}  // namespace enxuto
