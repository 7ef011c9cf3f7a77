// The memory map: one list of (owner, bytes, why, when), used three times. plan/ predicts it, the
// arena below opens its parts at exactly those sizes, and the report measures against it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace enxuto {

enum class PartKind {
  kArena,    // anonymous memory of ours, opened at start
  kMapped,   // pages of a mapped file: shared with other processes, given back under pressure
  kProcess,  // what the process itself takes: binary, libraries, stacks, the tokenizer's tables
};

struct MemoryPart {
  std::string owner;  // "KV cache"
  uint64_t bytes = 0;
  std::string why;   // "30 layers x 2 x 192 x 2,048 tokens, f16"
  std::string when;  // "while it runs", "calibration"
  PartKind kind = PartKind::kArena;
};

struct MemoryMap {
  std::vector<MemoryPart> parts;

  uint64_t total_bytes() const;
  const MemoryPart* find(std::string_view owner) const;
};

}  // namespace enxuto
