#include "compress/output_covariances.h"

#include <algorithm>

#include "plan/gradient_layout.h"

namespace enxuto {
namespace {

// Gradients are few and noisy beside a layer's outputs: what they have in common is believed less
// than what inputs have.
constexpr double kOutputDamping = 0.30;
// A token's squared gradient counts up to this many times the mean of its text.
constexpr double kGradientCap = 20;

std::vector<float> gradient_weights(const float* gradients, int64_t n_rows, int64_t n_tokens) {
  std::vector<double> squares(static_cast<size_t>(n_tokens));
  double mean = 0;
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t i = 0; i < n_rows; ++i) {
      const double g = gradients[t * n_rows + i];
      squares[t] += g * g;
    }
    mean += squares[t] / static_cast<double>(n_tokens);
  }
  std::vector<float> weights;
  for (const double square : squares)
    weights.push_back(
        square > kGradientCap * mean ? static_cast<float>(kGradientCap * mean / square) : 1.0f);
  return weights;
}

}  // namespace

Result<OutputCovariances> OutputCovariances::create(const Dense& dense,
                                                    const std::vector<Weight>& weights,
                                                    const CompressionPlan& plan,
                                                    const std::string& folder) {
  ASSIGN_OR_RETURN(ScratchFile scratch,
                   ScratchFile::create(folder, plan.output_covariance_file_bytes));
  OutputCovariances all(dense, std::move(scratch));
  uint64_t offset = 0;
  const uint32_t n_layers = plan.weigh_layers;
  for (const Weight& weight : weights) {
    if (weight.layer >= n_layers || weight.embeds) continue;
    const uint64_t bytes = *covariance_bytes(weight.tensor->rows());  // planned, so sane
    all.places_.push_back({weight.tensor, weight.layer, offset, bytes});
    offset += bytes;
  }
  return all;
}

const OutputCovariances::Place* OutputCovariances::place_of(const Tensor& tensor) const {
  const auto it = std::ranges::find(places_, &tensor, &Place::tensor);
  return it == places_.end() ? nullptr : &*it;
}

void OutputCovariances::open_layer(uint32_t layer) {
  opened_.clear();
  layer_ = layer;
  std::span<float> rest = memory_;
  for (const Place& place : places_) {
    if (place.layer != layer) continue;
    const uint64_t floats = place.bytes / sizeof(float);
    opened_
        .try_emplace(place.tensor, dense_, static_cast<int64_t>(place.tensor->rows()),
                     rest.first(floats))
        .first->second.clear();
    rest = rest.subspan(floats);
  }
}

Status OutputCovariances::keep_layer(ThreadTeam& team) {
  for (const Place& place : places_) {
    const auto it = opened_.find(place.tensor);
    if (it == opened_.end()) continue;
    it->second.factor(team, kOutputDamping);
    TRY(file_.write(place.offset, reinterpret_cast<const uint8_t*>(it->second.memory().data()),
                    place.bytes));
  }
  opened_.clear();
  return {};
}

void OutputCovariances::add(ThreadTeam& team, const Tensor& tensor, const float* gradients,
                            int64_t n_rows, int64_t n_tokens) {
  const std::vector<float> weights = gradient_weights(gradients, n_rows, n_tokens);
  opened_.at(&tensor).add(team, gradients, n_rows, n_tokens, weights.data());
}

Status OutputCovariances::measure(const Workbench& bench,
                                  const std::vector<std::vector<Token>>& chunks) {
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
  ASSIGN_OR_RETURN(memory_, bench.take<float>(plan.weigh_bytes / sizeof(float)));
  ThreadTeam& team = bench.session.team();
  Status kept;
  BackwardWalk walk(
      bench.session, dense_, {layout, pieces.data(), checkpoint, states, bench.folder},
      [&](const Tensor& tensor, const auto& body) { return bench.reader.for_pieces(tensor, body); },
      texts);
  TRY(walk.run(
      [&](size_t, const Tensor& tensor, const float* gradients, int64_t n_rows, int64_t n_tokens) {
        const Place* place = place_of(tensor);
        if (!place) return;
        if (layer_ != place->layer) {
          if (kept.ok()) kept = keep_layer(team);
          open_layer(place->layer);
        }
        add(team, tensor, gradients, n_rows, n_tokens);
      },
      [&](double done) {
        if (bench.progress) bench.progress("weighing outputs", done);
      }));
  TRY(kept);
  TRY(keep_layer(team));
  layer_.reset();
  return {};
}

Status OutputCovariances::begin(const Workbench& bench) {
  uint64_t most = 0;
  for (const Place& place : places_) most = std::max(most, place.bytes);
  ASSIGN_OR_RETURN(memory_, bench.take<float>(most / sizeof(float)));
  return {};
}

Result<const Covariance*> OutputCovariances::of(const Tensor& tensor, const ColumnScales& scales,
                                                ThreadTeam& team) {
  opened_.clear();
  const Place* place = place_of(tensor);
  if (!place) return nullptr;
  TRY(file_.read(place->offset, reinterpret_cast<uint8_t*>(memory_.data()), place->bytes));
  Covariance& outputs = opened_
                            .try_emplace(&tensor, dense_, static_cast<int64_t>(tensor.rows()),
                                         memory_.first(place->bytes / sizeof(float)))
                            .first->second;
  // An output that is carried s times as large is worth 1 / s as much.
  std::vector<float> worth = scales.row_scales(tensor);
  for (float& s : worth) s = 1 / s;
  outputs.scale(team, worth);
  return &outputs;
}

}  // namespace enxuto
