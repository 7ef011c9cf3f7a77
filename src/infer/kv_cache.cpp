#include "infer/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace enxuto {

KvCache::KvCache(const HyperParameters& hyper, const SessionLayout& layout, uint16_t* memory)
    : hyper_(hyper),
      layers_(layout.kv),
      memory_(memory),
      stride_(int64_t{hyper.key_dim} + hyper.value_dim),
      first_(layout.kv.size(), 0) {}

uint16_t* KvCache::row(uint32_t layer, uint32_t kv_head, uint32_t position) const {
  const KvLayer& l = layers_[layer];
  const int64_t index = int64_t{kv_head} * l.rows + (position - first_[layer]);
  return memory_ + l.offset + index * stride_;
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
  for (uint32_t head = 0; head < hyper_.n_kv_heads; ++head)
    std::memmove(row(layer, head, first), row(layer, head, seen),
                 (position - seen) * stride_ * sizeof(uint16_t));
  first = seen;
}

void KvCache::store(const KernelTable& k, uint32_t layer, uint32_t position, const float* key,
                    const float* value) {
  for (uint32_t head = 0; head < hyper_.n_kv_heads; ++head) {
    uint16_t* to = row(layer, head, position);
    k.to_f16(key + head * hyper_.key_dim, hyper_.key_dim, to);
    k.to_f16(value + head * hyper_.value_dim, hyper_.value_dim, to + hyper_.key_dim);
  }
}

KvCache::HeadView KvCache::head(uint32_t layer, uint32_t kv_head) const {
  const uint16_t* keys = row(layer, kv_head, first_[layer]);
  return {keys, keys + hyper_.key_dim, stride_, first_[layer]};
}

bool KvCache::can_continue(uint32_t position) const {
  for (uint32_t layer = 0; layer < first_.size(); ++layer)
    if (position != 0 && horizon(layer, position) < first_[layer]) return false;
  return true;
}

}  // namespace enxuto
