// The tokens that calibration and probes run on, cut from a text.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

std::string_view builtin_calibration_text();

// Chunks begin with BOS where the model wants one. Probes are never measured on what they were
// calibrated on.
struct CalibrationChunks {
  std::vector<std::vector<Token>> fit;       // inputs of the layers are measured on these
  std::vector<std::vector<Token>> held_out;  // KL divergence on these
  uint64_t text_bytes = 0, text_tokens = 0;  // of what they were cut from
};

struct ChunkLimits {
  uint32_t fit_tokens, fit_chunks;  // tokens of one chunk; most chunks
  uint32_t held_out_tokens, held_out_chunks;
  uint32_t step = 1;  // chunks to fit on begin at multiples of so many tokens
};

// Spread evenly over the whole text. kBadInput where the text is too short to hold one of each.
Result<CalibrationChunks> cut_calibration_text(const Tokenizer& tokenizer, std::string_view text,
                                               const ChunkLimits& limits);
// The same over ids.
Result<CalibrationChunks> cut_tokens(std::span<const Token> tokens, Token bos,
                                     const ChunkLimits& limits);

// Chunks of equal length for a judgement on what was fitted on such cuts of the text: none overlaps
// what one of them fits on, nor, where there is enough beside it, what one of them probes on. At
// most so many of so many tokens, spread evenly; fewer and shorter ones where the text has no more,
// and none where it leaves next to nothing.
std::vector<std::vector<Token>> cut_beside(const Tokenizer& tokenizer, std::string_view text,
                                           std::span<const ChunkLimits> cuts, uint32_t chunk_tokens,
                                           uint32_t most_chunks);
// The same over ids.
std::vector<std::vector<Token>> cut_tokens_beside(std::span<const Token> tokens, Token bos,
                                                  std::span<const ChunkLimits> cuts,
                                                  uint32_t chunk_tokens, uint32_t most_chunks);

}  // namespace enxuto
