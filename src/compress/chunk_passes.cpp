#include "compress/chunk_passes.h"

#include <algorithm>

#include "platform/interrupt.h"

namespace enxuto {
namespace {

// A token's energy counts up to this many times the median of its pass.
constexpr double kEnergyCap = 4.0;

// body(first token, tokens) of each pass.
template <class Body>
Status for_passes(Session& session, size_t n_tokens, const Body& body) {
  for (size_t begin = 0; begin < n_tokens; begin += session.batch()) {
    if (interrupted()) return Status::interrupted();
    TRY(body(begin, std::min<size_t>(session.batch(), n_tokens - begin)));
  }
  return {};
}

Status run_pass(Session& session, uint32_t layer, size_t begin, size_t n, float* state) {
  return session.run_layers(layer, layer + 1, static_cast<uint32_t>(begin), static_cast<int64_t>(n),
                            state);
}

}  // namespace

Status embed_chunk(Session& session, std::span<const Token> chunk, float* state) {
  return for_passes(session, chunk.size(), [&](size_t begin, size_t n) {
    return session.embed(chunk.subspan(begin, n), static_cast<uint32_t>(begin),
                         state + begin * session.model().hyper.width);
  });
}

Status run_chunk(Session& session, uint32_t layer, size_t n_tokens, float* state) {
  return for_passes(session, n_tokens, [&](size_t begin, size_t n) {
    return run_pass(session, layer, begin, n, state + begin * session.model().hyper.width);
  });
}

Status show_chunk(Session& session, uint32_t layer, size_t n_tokens, const float* state,
                  const AfterPass& after) {
  const size_t width = session.model().hyper.width;
  return for_passes(session, n_tokens, [&](size_t begin, size_t n) {
    std::copy_n(state + begin * width, n * width, session.hidden_buffer());
    TRY(run_pass(session, layer, begin, n, session.hidden_buffer()));
    if (after) after(begin, n, session.hidden_buffer());
    return Status();
  });
}

std::vector<float> add_tokens(ThreadTeam& team, const float* x, int64_t x_stride, int64_t n_tokens,
                              Covariance& covariance) {
  const auto energies = token_energies(team, x, x_stride, n_tokens, covariance.columns());
  std::vector<double> sorted = energies;
  std::ranges::nth_element(sorted, sorted.begin() + n_tokens / 2);
  auto weights = cap_energies(energies, kEnergyCap * sorted[n_tokens / 2]);
  covariance.add(team, x, x_stride, n_tokens, weights.data());
  return weights;
}

}  // namespace enxuto
