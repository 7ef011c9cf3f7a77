#include "compress/calibrate.h"

#include <algorithm>

#include "models/finite.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// A token's energy counts up to this many times the median of its pass.
constexpr double kEnergyCap = 4.0;

Status run_chunk(Session& session, std::span<const Token> chunk) {
  const Model& model = session.model();
  float* hidden = session.hidden_buffer();
  for (size_t begin = 0; begin < chunk.size(); begin += session.batch()) {
    const auto part = chunk.subspan(begin, std::min<size_t>(session.batch(), chunk.size() - begin));
    const auto n = static_cast<int64_t>(part.size());
    TRY(session.embed(part, hidden));
    for (uint32_t l = 0; l < model.hyper.n_layers; ++l) {
      if (interrupted()) return Status::interrupted();
      TRY(session.run_layers(l, l + 1, static_cast<uint32_t>(begin), n, hidden));
      release_pages_of(model, l);
    }
    // The head costs as much as many layers: a sample of its inputs is enough.
    const int64_t rows = std::min<int64_t>(n, session.logit_rows());
    TRY(session.logits(hidden + (n - rows) * model.hyper.width, rows, session.logits_buffer()));
  }
  return Status();
}

}  // namespace

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

std::vector<float> ColumnEnergy::mean() const {
  std::vector<float> mean(sums_.size());
  for (size_t c = 0; c < mean.size(); ++c)
    mean[c] = static_cast<float>(sums_[c] / std::max(weight_, 1e-30));
  return mean;
}

Result<Importance> measure_importance(Session& session, const std::vector<Weight>& weights,
                                      const std::vector<std::vector<Token>>& chunks,
                                      const Progress& progress) {
  std::map<const Tensor*, ColumnEnergy> energies;
  for (const Weight& weight : weights)
    if (weight.input) energies.try_emplace(weight.input, weight.input->columns());
  ForwardHooks hooks;
  hooks.on_linear_input = [&](const Tensor& tensor, const float* x, int64_t stride, int64_t n) {
    if (const auto it = energies.find(&tensor); it != energies.end()) it->second.add(x, stride, n);
  };
  session.set_hooks(std::move(hooks));
  Status status;
  for (size_t i = 0; i < chunks.size() && status.ok(); ++i) {
    if (progress)
      progress("calibrating", static_cast<double>(i) / static_cast<double>(chunks.size()));
    status = run_chunk(session, chunks[i]);
  }
  session.set_hooks({});
  TRY(status);
  Importance importance;
  for (const auto& [tensor, energy] : energies) {
    importance[tensor] = energy.mean();
    if (!all_finite(importance[tensor]))
      return Status::bad_input("the model overflows on the calibration text",
                               "its weights are damaged: try another file");
  }
  return importance;
}

}  // namespace enxuto
