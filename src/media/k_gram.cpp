#include "media/k_gram.h"

#include <algorithm>
#include <bit>

namespace enxuto {
namespace {

// SplitMix64's finisher, never 0.
uint64_t mixed(uint64_t value) {
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
  value = (value ^ value >> 27) * 0x94D049BB133111EB;
  return (value ^ value >> 31) | 1;
}

uint64_t with(uint64_t hash, Token token) {
  return mixed(hash + 0x9E3779B97F4A7C15 * (static_cast<uint64_t>(token) + 1));
}

}  // namespace

KGram::KGram(size_t vocabulary, uint64_t memory_bytes)
    : vocabulary_(static_cast<double>(vocabulary)),
      entries_(std::bit_floor(std::max<uint64_t>(2, memory_bytes / sizeof(Entry)))) {}

const KGram::Entry* KGram::find(uint64_t key) const {
  const size_t mask = entries_.size() - 1;
  for (size_t i = key >> 8 & mask;; i = (i + 1) & mask)
    if (entries_[i].key == key || entries_[i].key == 0) return &entries_[i];
}

KGram::Entry* KGram::find_or_add(uint64_t key) {
  auto* entry = const_cast<Entry*>(find(key));
  if (entry->key == key) return entry;
  if (used_ >= entries_.size() / 4 * 3) return nullptr;
  ++used_;
  entry->key = key;
  return entry;
}

// body(k, hash of the k tokens before i), the shortest first.
template <class Body>
void KGram::for_each_context(std::span<const Token> sequence, size_t i, const Body& body) {
  uint64_t hash = mixed(1);
  for (uint32_t k = 0; k <= kLongestKGram; ++k) {
    if (k > i) break;
    if (k > 0) hash = with(hash, sequence[i - k]);
    body(k, hash);
  }
}

void KGram::learn(std::span<const Token> sequence) {
  for (size_t i = 0; i < sequence.size(); ++i)
    for_each_context(sequence, i, [&](uint32_t, uint64_t hash) {
      Entry* context = find_or_add(hash);
      Entry* follower = context ? find_or_add(with(~hash, sequence[i])) : nullptr;
      if (!follower) return;
      context->kinds += follower->n == 0;
      ++follower->n;
      ++context->n;
    });
}

void KGram::predict(std::span<const Token> sequence, size_t i, std::span<double> out) const {
  double p = 1 / vocabulary_;
  uint32_t known = 0;
  for_each_context(sequence, i, [&](uint32_t k, uint64_t hash) {
    const Entry& context = *find(hash);
    const double n = find(with(~hash, sequence[i]))->n;
    if (context.n > 0) p = (n + context.kinds * p) / (context.n + context.kinds);
    out[k] = p;
    known = k;
  });
  std::fill(out.begin() + known + 1, out.end(), p);
}

}  // namespace enxuto
