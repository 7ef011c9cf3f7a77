#include "infer/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace enxuto {

KvCache::KvCache(const HyperParameters& hyper, const SessionLayout& layout, uint8_t* memory)
    : hyper_(hyper), layers_(layout.kv), memory_(memory), first_(layout.kv.size(), 0) {}

uint8_t* KvCache::row(uint32_t layer, uint32_t kv_head, uint32_t position) const {
  const KvLayer& l = layers_[layer];
  const uint64_t index = uint64_t{kv_head} * l.rows + (position - first_[layer]);
  return memory_ + l.offset + index * l.row_bytes();
}

uint32_t KvCache::horizon(uint32_t layer, uint32_t position) const {
  if (!hyper_.slides(layer) || position + 1 <= hyper_.sliding_window) return 0;
  return position + 1 - hyper_.sliding_window;
}

void KvCache::make_room(uint32_t layer, uint32_t position, int64_t n) {
  uint32_t& first = first_[layer];
  if (position == 0) first = 0;
  if (position - first + n <= layers_[layer].rows) return;
  const uint32_t seen = horizon(layer, position);
  for (uint32_t head = 0; head < layers_[layer].n_heads; ++head)
    std::memmove(row(layer, head, first), row(layer, head, seen),
                 uint64_t{position - seen} * layers_[layer].row_bytes());
  first = seen;
}

void KvCache::store(const KernelTable& k, uint32_t layer, uint32_t position, float* key,
                    float* value) {
  const KvLayer& l = layers_[layer];
  for (uint32_t head = 0; head < l.n_heads; ++head) {
    uint8_t* to = row(layer, head, position);
    if (rotates_keys(layer)) k.rotate(key, hyper_.key_dim);
    if (rotates_values(layer)) k.rotate(value, hyper_.value_dim);
    k.encode_row(l.format.key, key, hyper_.key_dim, to);
    k.encode_row(l.format.value, value, hyper_.value_dim, to + l.key_bytes);
    key += hyper_.key_dim, value += hyper_.value_dim;
  }
}

KvCache::HeadView KvCache::head(uint32_t layer, uint32_t kv_head) const {
  const KvLayer& l = layers_[layer];
  const uint8_t* keys = row(layer, kv_head, first_[layer]);
  return {
      {l.format.key, l.format.value, keys, keys + l.key_bytes, static_cast<int64_t>(l.row_bytes())},
      first_[layer]};
}

bool KvCache::can_continue(uint32_t position) const {
  for (uint32_t layer = 0; layer < first_.size(); ++layer)
    if (position != 0 && horizon(layer, position) < first_[layer]) return false;
  return true;
}

}  // namespace enxuto
