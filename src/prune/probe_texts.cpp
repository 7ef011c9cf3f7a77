#include "prune/probe_texts.h"

#include <algorithm>

#include "infer/scores.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// The second half of a chunk is scored, but for its last token, which predicts nothing in it.
size_t first_scored(std::span<const Token> chunk) { return chunk.size() / 2; }

}  // namespace

Result<ProbeTexts> ProbeTexts::begin(const Workbench& bench,
                                     const std::vector<std::vector<Token>>& chunks,
                                     size_t n_states) {
  uint64_t tokens = 0;
  for (const auto& chunk : chunks) tokens += chunk.size();
  ASSIGN_OR_RETURN(HiddenStates states, bench.take_states(n_states, tokens));
  ProbeTexts texts(bench, chunks, std::move(states));
  ASSIGN_OR_RETURN(texts.expected_, bench.take<float>(uint64_t{bench.session.logit_rows()} *
                                                      bench.model().hyper.vocabulary));
  TRY(texts.embed(0));
  return texts;
}

Status ProbeTexts::embed(size_t state) {
  float* x = states_.room(state);
  for (const auto& chunk : chunks_) {
    TRY(bench_.session.embed(chunk, 0, x));
    x += chunk.size() * bench_.model().hyper.width;
  }
  return states_.store(state);
}

Status ProbeTexts::fork(size_t from, size_t to) {
  TRY(states_.copy(from, to).status());
  return states_.store(to);
}

Status ProbeTexts::run(size_t state, uint32_t layer) {
  ASSIGN_OR_RETURN(float* x, states_.load(state));
  for (const auto& chunk : chunks_) {
    if (interrupted()) return Status::interrupted();
    TRY(bench_.session.run_layers(layer, layer + 1, 0, static_cast<int64_t>(chunk.size()), x));
    x += chunk.size() * bench_.model().hyper.width;
  }
  return states_.store(state);
}

Result<std::vector<double>> ProbeTexts::divergences(size_t reference,
                                                    std::span<const size_t> states) {
  Session& session = bench_.session;
  const uint64_t width = bench_.model().hyper.width, vocabulary = bench_.model().hyper.vocabulary;
  const size_t at_once = session.logit_rows();
  std::vector<double> sums(states.size(), 0.0);
  size_t n_scored = 0, begin = 0;
  for (const auto& chunk : chunks_) {
    for (size_t at = first_scored(chunk); at + 1 < chunk.size(); at += at_once) {
      const size_t n = std::min(at_once, chunk.size() - 1 - at), row = begin + at;
      ASSIGN_OR_RETURN(const float* whole, states_.load(reference));
      TRY(session.logits(whole + row * width, static_cast<int64_t>(n), expected_.data()));
      for (size_t s = 0; s < states.size(); ++s) {
        if (interrupted()) return Status::interrupted();
        ASSIGN_OR_RETURN(const float* state, states_.load(states[s]));
        TRY(session.logits(state + row * width, static_cast<int64_t>(n), session.logits_buffer()));
        std::vector<double> klds(n);
        session.team().parallel_for(static_cast<int64_t>(n), 1, [&](int64_t i, int64_t, int) {
          const std::span<const float> logits(session.logits_buffer() + i * vocabulary, vocabulary);
          klds[i] =
              score_row(logits, expected_.subspan(i * vocabulary, vocabulary), chunk[at + i + 1])
                  .kld;
        });
        for (const double kld : klds) sums[s] += kld;
      }
      n_scored += n;
    }
    begin += chunk.size();
  }
  for (double& sum : sums)
    sum = std::max(sum / static_cast<double>(std::max<size_t>(n_scored, 1)), 1e-9);
  return sums;
}

}  // namespace enxuto
