#include "compress/calibrate.h"

#include <algorithm>

#include "models/finite.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// A token's energy counts up to this many times the median of its pass.
constexpr double kEnergyCap = 4.0;

Status embed_chunk(Session& session, std::span<const Token> chunk, float* state) {
  for (size_t begin = 0; begin < chunk.size(); begin += session.batch()) {
    const size_t n = std::min<size_t>(session.batch(), chunk.size() - begin);
    TRY(session.embed(chunk.subspan(begin, n), state + begin * session.model().hyper.width));
  }
  return Status();
}

Status run_layer(Session& session, uint32_t layer, size_t n_tokens, float* state) {
  for (size_t begin = 0; begin < n_tokens; begin += session.batch()) {
    if (interrupted()) return Status::interrupted();
    const auto n = static_cast<int64_t>(std::min<size_t>(session.batch(), n_tokens - begin));
    TRY(session.run_layers(layer, layer + 1, static_cast<uint32_t>(begin), n,
                           state + begin * session.model().hyper.width));
  }
  return Status();
}

// The head is not run: its input is all that is wanted.
void see_head(Session& session, size_t n_tokens, const float* state, ColumnEnergy& energy) {
  const uint64_t width = session.model().hyper.width;
  for (size_t begin = 0; begin < n_tokens; begin += session.batch()) {
    const auto n = static_cast<int64_t>(std::min<size_t>(session.batch(), n_tokens - begin));
    session.final_norm(state + begin * width, n, session.hidden_buffer());
    energy.add(session.hidden_buffer(), static_cast<int64_t>(width), n);
  }
}

}  // namespace

Result<HiddenStates> begin_text(const Workbench& bench,
                                const std::vector<std::vector<Token>>& chunks) {
  ASSIGN_OR_RETURN(HiddenStates states,
                   bench.take_states(chunks.size(), bench.plan.shape.fit_tokens));
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSIGN_OR_RETURN(float* state, states.load(c));
    TRY(embed_chunk(bench.session, chunks[c], state));
    TRY(states.store(c));
  }
  return states;
}

Status run_text(const Workbench& bench, uint32_t layer,
                const std::vector<std::vector<Token>>& chunks, HiddenStates& states) {
  TRY(bench.session.hold_layer(layer));
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSIGN_OR_RETURN(float* state, states.load(c));
    TRY(run_layer(bench.session, layer, chunks[c].size(), state));
    TRY(states.store(c));
  }
  bench.session.let_go();
  return Status();
}

std::vector<float> token_weights(const float* x, int64_t x_stride, int64_t n_tokens,
                                 int64_t columns) {
  std::vector<double> energies(static_cast<size_t>(n_tokens));
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t c = 0; c < columns; ++c) {
      const double value = x[t * x_stride + c];
      energies[t] += value * value;
    }
  std::vector<double> sorted = energies;
  std::ranges::nth_element(sorted, sorted.begin() + n_tokens / 2);
  const double cap = kEnergyCap * sorted[n_tokens / 2];
  std::vector<float> weights;
  for (const double energy : energies)
    weights.push_back(energy > cap ? static_cast<float>(cap / energy) : 1.0f);
  return weights;
}

void ColumnEnergy::add(const float* x, int64_t x_stride, int64_t n_tokens) {
  const size_t columns = sums_.size();
  const std::vector<float> weights =
      token_weights(x, x_stride, n_tokens, static_cast<int64_t>(columns));
  for (int64_t t = 0; t < n_tokens; ++t) {
    const double weight = weights[t];
    for (size_t c = 0; c < columns; ++c) {
      const double value = x[t * x_stride + static_cast<int64_t>(c)];
      sums_[c] += weight * value * value;
    }
    weight_ += weight;
  }
}

void ColumnEnergy::mean(std::span<float> mean) const {
  for (size_t c = 0; c < mean.size(); ++c)
    mean[c] = static_cast<float>(sums_[c] / std::max(weight_, 1e-30));
}

Result<Importance> measure_importance(const Workbench& bench, const std::vector<Weight>& weights,
                                      const std::vector<std::vector<Token>>& chunks) {
  ASSIGN_OR_RETURN(HiddenStates states, begin_text(bench, chunks));
  std::map<const Tensor*, ColumnEnergy> energies;
  for (const Weight& weight : weights) {
    if (!weight.input || energies.contains(weight.input)) continue;
    ASSIGN_OR_RETURN(const auto sums, bench.take<double>(weight.input->columns()));
    energies.try_emplace(weight.input, sums);
  }
  ForwardHooks hooks;
  hooks.on_linear_input = [&](const Tensor& tensor, const float* x, int64_t stride, int64_t n) {
    if (const auto it = energies.find(&tensor); it != energies.end()) it->second.add(x, stride, n);
  };
  bench.session.set_hooks(std::move(hooks));
  const uint32_t n_layers = bench.model().hyper.n_layers;
  Status status;
  for (uint32_t l = 0; l < n_layers && status.ok(); ++l) {
    if (bench.progress) bench.progress("calibrating", static_cast<double>(l) / n_layers);
    status = run_text(bench, l, chunks, states);
  }
  bench.session.set_hooks({});
  TRY(status);
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSIGN_OR_RETURN(const float* state, states.load(c));
    see_head(bench.session, chunks[c].size(), state, energies.at(bench.model().output));
  }
  Importance importance;
  for (const auto& [tensor, energy] : energies) {
    ASSIGN_OR_RETURN(const auto mean,
                     bench.arena.take<float>(owner::kImportance, tensor->columns()));
    energy.mean(mean);
    importance[tensor] = mean;
    if (!all_finite(mean))
      return Status::bad_input("the model overflows on the calibration text",
                               "its weights are damaged: try another file");
  }
  return importance;
}

}  // namespace enxuto
