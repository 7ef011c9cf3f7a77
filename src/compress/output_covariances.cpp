#include "compress/output_covariances.h"

#include <algorithm>

#include "plan/gradient_layout.h"
#include "train/backward_walk.h"

namespace enxuto {
namespace {

// Gradients are few and noisy beside a layer's outputs: what they have in common is believed less
// than what inputs have.
constexpr double kOutputDamping = 0.30;
// A token's squared gradient counts up to this many times the mean of its text.
constexpr double kGradientCap = 20;

}  // namespace

Result<OutputCovariances> OutputCovariances::create(const Dense& dense,
                                                    const std::vector<Weight>& weights,
                                                    uint32_t n_layers, const std::string& folder,
                                                    const State* state) {
  ASSIGN_OR_RETURN(CovarianceFile file,
                   CovarianceFile::of_outputs(dense, weights, n_layers, folder, state));
  return OutputCovariances(dense, std::move(file));
}

Status OutputCovariances::keep_layer(ThreadTeam& team) {
  for (auto& [tensor, covariance] : file_.opened()) covariance.factor(team, kOutputDamping);
  return file_.keep();
}

Status OutputCovariances::add(ThreadTeam& team, const Tensor& tensor, const float* gradients,
                              int64_t n_rows, int64_t n_tokens) {
  const std::optional<uint32_t> layer = file_.layer_of(tensor);
  if (!layer) return {};
  if (layer_ != layer) {
    TRY(keep_layer(team));
    layer_ = layer;
    file_.open_layer(*layer);
    for (auto& [opened, covariance] : file_.opened()) covariance.clear();
  }
  const std::vector<double> squares = token_energies(team, gradients, n_rows, n_tokens, n_rows);
  double mean = 0;
  for (const double square : squares) mean += square / static_cast<double>(n_tokens);
  file_.opened().at(&tensor).add(team, gradients, n_rows, n_tokens,
                                 cap_energies(squares, kGradientCap * mean).data());
  return {};
}

Status OutputCovariances::measure(const Workbench& bench,
                                  const std::vector<std::vector<Token>>& chunks) {
  if (bench.state) {
    const uint32_t n_layers = bench.model().hyper.n_layers;
    bench.state->begins("weighing outputs", file_.complete() ? n_layers : 0, n_layers);
    if (file_.complete()) return {};
  }
  const CompressionPlan& plan = bench.plan;
  const std::vector<std::vector<Token>> texts(
      chunks.begin(), chunks.begin() + std::min<size_t>(chunks.size(), plan.weigh_chunks));
  ASSIGN_OR_RETURN(HiddenStates states, bench.take_states(texts.size(), plan.shape.fit_tokens));
  ASSIGN_OR_RETURN(const auto checkpoint, bench.take<uint8_t>(*checkpoint_bytes(
                                              bench.model().hyper, plan.shape.fit_tokens)));
  ASSIGN_OR_RETURN(
      const GradientLayout layout,
      lay_out_gradients(bench.model(), plan.shape.fit_tokens, plan.inference.n_threads));
  ASSIGN_OR_RETURN(const auto pieces, bench.take<uint8_t>(layout.bytes));
  TRY(file_.begin(bench));
  ThreadTeam& team = bench.session.team();
  Status kept;
  BackwardWalk walk(
      bench.session, dense_, {layout, pieces.data(), checkpoint, states, bench.folder},
      [&](const Tensor& tensor, const auto& body) { return bench.reader.for_pieces(tensor, body); },
      texts);
  TRY(walk.run(
      [&](size_t, const LinearGradient& of) {
        if (kept.ok()) kept = add(team, of.w, of.dy, of.n_rows, of.n_tokens);
      },
      [&](double done) {
        if (bench.progress) bench.progress("weighing outputs", done);
      }));
  TRY(kept);
  return keep_layer(team);
}

Result<const Covariance*> OutputCovariances::of(const Tensor& tensor, const ColumnScales& scales,
                                                ThreadTeam& team) {
  if (!file_.layer_of(tensor)) return nullptr;
  ASSIGN_OR_RETURN(Covariance * outputs, file_.single(tensor));
  // An output that is carried s times as large is worth 1 / s as much.
  std::vector<float> worth = scales.row_scales(tensor);
  for (float& s : worth) s = 1 / s;
  outputs->scale(team, worth);
  return outputs;
}

}  // namespace enxuto
