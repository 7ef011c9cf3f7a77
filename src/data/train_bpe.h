// A tokenizer made from one's own texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "formats/gguf.h"

namespace enxuto {

// Trains a byte-level BPE (tokenizer/bpe_training.h) on what write_tokens would read of `paths`:
// texts, and the contents of conversations. The result is what a model's file says of its
// tokenizer (tokenizer.ggml.*).
//
// n_tokens ≥ 257 in all, of them <|endoftext|> and the 256 bytes; fewer come out where the texts do
// not repeat enough for so many. kUsage for fewer than 257, or more than 1,000,000; kBadInput where
// a path cannot be read, or there is no text at all; kInterrupted.
//
// memory_bytes: about how much it may take; 0: as much as helps. With less, rare words are
// forgotten while the texts are read.
Result<Metadata> train_bpe(const std::vector<std::string>& paths, uint32_t n_tokens,
                           uint64_t memory_bytes, const Progress& progress);

}  // namespace enxuto
