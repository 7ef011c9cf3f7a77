#include "compress/calibration_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "media/media_text.h"

namespace enxuto {
namespace {

constexpr size_t kLeastTokens = 64;
// Of a chunk that is judged on, and of all of them.
constexpr size_t kLeastJudged = 16, kEnough = 2048;
// More than any limit asks for: a longer text is cut before it is tokenised.
constexpr size_t kMostBytes = 4 << 20;

std::vector<Token> chunk_at(std::span<const Token> tokens, size_t begin, size_t n, Token bos) {
  std::vector<Token> chunk(tokens.begin() + begin, tokens.begin() + begin + n);
  if (bos >= 0) chunk[0] = bos;
  return chunk;
}

// One cell of the text is one fit chunk and, after it, at most one held-out chunk. A short text is
// one cell, shared 3 : 1 as far as the limits go.
struct Cells {
  Cells(size_t all, const ChunkLimits& limits)
      : n_tokens(all), fit(limits.fit_tokens), held_out(limits.held_out_tokens) {
    if (n_tokens < fit + held_out) {
      held_out = std::min(held_out, (n_tokens + 3) / 4);
      fit = std::min(fit, n_tokens - held_out);
    }
    steps = n_tokens / limits.step, step = limits.step;
    if (steps == 0) steps = n_tokens, step = 1;
    count = std::clamp<size_t>(steps / ((fit + held_out + step - 1) / step), 1,
                               std::max<size_t>(limits.fit_chunks, 1));
    n_held_out = std::clamp<size_t>(limits.held_out_chunks, 1, count);
  }
  size_t begin(size_t i) const { return steps * i / count * step; }
  bool probes(size_t i) const { return i * n_held_out / count != (i + 1) * n_held_out / count; }

  size_t n_tokens, fit, held_out, steps, step, count, n_held_out;
};

// Where chunks of so many tokens lie that no taken token is in.
std::vector<size_t> places_beside(const std::vector<bool>& taken, size_t chunk_tokens) {
  std::vector<size_t> places;
  size_t free = 0;
  for (size_t at = 0; at < taken.size(); ++at) {
    free = taken[at] ? 0 : free + 1;
    if (free < chunk_tokens) continue;
    places.push_back(at + 1 - free);
    free = 0;
  }
  return places;
}

std::vector<bool> taken_by(size_t n_tokens, std::span<const ChunkLimits> cuts, bool probes_too) {
  std::vector<bool> taken(n_tokens, false);
  for (const ChunkLimits& limits : cuts) {
    const Cells cells(n_tokens, limits);
    for (size_t i = 0; i < cells.count; ++i)
      std::fill_n(taken.begin() + static_cast<int64_t>(cells.begin(i)),
                  cells.fit + (probes_too && cells.probes(i) ? cells.held_out : 0), true);
  }
  return taken;
}

}  // namespace

Result<CalibrationChunks> cut_tokens(std::span<const Token> tokens, Token bos,
                                     const ChunkLimits& limits) {
  if (tokens.size() < kLeastTokens)
    return Status::bad_input(
        fmt::format("the calibration text is {} tokens long", format_count(tokens.size())),
        fmt::format("give at least {}, better {}", kLeastTokens, "10,000; or leave it out"));
  const Cells cells(tokens.size(), limits);
  CalibrationChunks chunks;
  for (size_t i = 0; i < cells.count; ++i) {
    chunks.fit.push_back(chunk_at(tokens, cells.begin(i), cells.fit, bos));
    if (cells.probes(i))
      chunks.held_out.push_back(chunk_at(tokens, cells.begin(i) + cells.fit, cells.held_out, bos));
  }
  return chunks;
}

std::vector<std::vector<Token>> cut_tokens_beside(std::span<const Token> tokens, Token bos,
                                                  std::span<const ChunkLimits> cuts,
                                                  uint32_t chunk_tokens, uint32_t most_chunks) {
  if (tokens.size() < kLeastTokens) return {};
  std::vector<size_t> places;
  size_t length = 0;
  // Long chunks that nothing was chosen on; else shorter ones, or such that nothing was fitted on.
  for (const bool probes_too : {true, false})
    for (size_t n = chunk_tokens; n >= kLeastJudged && places.size() * length < kEnough; n /= 2) {
      auto found = places_beside(taken_by(tokens.size(), cuts, probes_too), n);
      if (found.size() * n > places.size() * length) places = std::move(found), length = n;
    }
  std::vector<std::vector<Token>> chunks;
  const size_t count = std::min<size_t>(places.size(), most_chunks);
  for (size_t i = 0; i < count; ++i)
    chunks.push_back(chunk_at(tokens, places[i * places.size() / count], length, bos));
  return chunks;
}

Result<CalibrationChunks> cut_calibration_text(const Tokenizer& tokenizer, std::string_view text,
                                               const ChunkLimits& limits) {
  text = text.substr(0, kMostBytes);
  const std::vector<Token> tokens = encode_named(tokenizer, text, /*add_special=*/false);
  ChunkLimits whole = limits;
  whole.step = sequence_step(tokenizer.metadata());
  ASSIGN_OR_RETURN(CalibrationChunks chunks,
                   cut_tokens(tokens, tokenizer.adds_bos() ? tokenizer.bos() : -1, whole));
  chunks.text_bytes = text.size(), chunks.text_tokens = tokens.size();
  return chunks;
}

std::vector<std::vector<Token>> cut_beside(const Tokenizer& tokenizer, std::string_view text,
                                           std::span<const ChunkLimits> cuts, uint32_t chunk_tokens,
                                           uint32_t most_chunks) {
  const std::vector<Token> tokens = encode_named(tokenizer, text.substr(0, kMostBytes), false);
  return cut_tokens_beside(tokens, tokenizer.adds_bos() ? tokenizer.bos() : -1, cuts, chunk_tokens,
                           most_chunks);
}

}  // namespace enxuto
