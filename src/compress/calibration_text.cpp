#include "compress/calibration_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"

namespace enxuto {
namespace {

constexpr size_t kLeastTokens = 64;
// More than any limit asks for: a longer text is cut before it is tokenised.
constexpr size_t kMostBytes = 4 << 20;

std::vector<Token> chunk_at(std::span<const Token> tokens, size_t begin, size_t n, Token bos) {
  std::vector<Token> chunk(tokens.begin() + begin, tokens.begin() + begin + n);
  if (bos >= 0) chunk[0] = bos;
  return chunk;
}

}  // namespace

Result<CalibrationChunks> cut_tokens(std::span<const Token> tokens, Token bos,
                                     const ChunkLimits& limits) {
  if (tokens.size() < kLeastTokens)
    return Status::bad_input(
        fmt::format("the calibration text is {} tokens long", format_count(tokens.size())),
        fmt::format("give at least {}, better {}", kLeastTokens, "10,000; or leave it out"));
  // One cell of the text is one fit chunk and, after it, at most one held-out chunk. A short text
  // is one cell, shared 3 : 1 as far as the limits go.
  size_t fit = limits.fit_tokens, held_out = limits.held_out_tokens;
  if (tokens.size() < fit + held_out) {
    held_out = std::min(held_out, (tokens.size() + 3) / 4);
    fit = std::min(fit, tokens.size() - held_out);
  }
  const size_t n_cells =
      std::min<size_t>({tokens.size() / (fit + held_out), std::max<size_t>(limits.fit_chunks, 1)});
  const size_t n_held_out = std::clamp<size_t>(limits.held_out_chunks, 1, n_cells);
  CalibrationChunks chunks;
  for (size_t i = 0; i < n_cells; ++i) {
    const size_t begin = tokens.size() * i / n_cells;
    chunks.fit.push_back(chunk_at(tokens, begin, fit, bos));
    if (i * n_held_out / n_cells == (i + 1) * n_held_out / n_cells) continue;
    chunks.held_out.push_back(chunk_at(tokens, begin + fit, held_out, bos));
  }
  return chunks;
}

Result<CalibrationChunks> cut_calibration_text(const Tokenizer& tokenizer, std::string_view text,
                                               const ChunkLimits& limits) {
  text = text.substr(0, kMostBytes);
  const std::vector<Token> tokens =
      tokenizer.encode(text, /*add_special=*/false, /*parse_special=*/false);
  ASSIGN_OR_RETURN(CalibrationChunks chunks,
                   cut_tokens(tokens, tokenizer.adds_bos() ? tokenizer.bos() : -1, limits));
  chunks.text_bytes = text.size(), chunks.text_tokens = tokens.size();
  return chunks;
}

}  // namespace enxuto
