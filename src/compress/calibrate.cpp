#include "compress/calibrate.h"

#include <algorithm>
#include <numeric>

#include "compress/chunk_passes.h"
#include "compress/kept_stages.h"
#include "models/finite.h"

namespace enxuto {
namespace {

std::vector<size_t> all_of(const std::vector<std::vector<Token>>& chunks) {
  std::vector<size_t> all(chunks.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// All chunks have as many tokens.
uint64_t floats_of(const Workbench& bench, const std::vector<std::vector<Token>>& chunks) {
  return chunks.front().size() * bench.model().hyper.width;
}

// The text before a layer, which the state folder has unless it is the first one.
Result<HiddenStates> begin_text(const Workbench& bench, uint32_t layer,
                                const std::vector<std::vector<Token>>& chunks) {
  ASSIGN_OR_RETURN(HiddenStates states,
                   bench.take_states(chunks.size(), bench.plan.shape.fit_tokens));
  if (layer > 0) {
    TRY(take_states(bench, record::kText, states, all_of(chunks), floats_of(bench, chunks)));
    return states;
  }
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSIGN_OR_RETURN(float* state, states.load(c));
    TRY(embed_chunk(bench.session, chunks[c], state));
    TRY(states.store(c));
  }
  return states;
}

// All chunks through one layer, while it is in memory.
Status run_text(const Workbench& bench, uint32_t layer,
                const std::vector<std::vector<Token>>& chunks, HiddenStates& states) {
  TRY(bench.session.hold_layer(layer));
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSIGN_OR_RETURN(float* state, states.load(c));
    TRY(run_chunk(bench.session, layer, chunks[c].size(), state));
    TRY(states.store(c));
  }
  bench.session.let_go();
  return Status();
}

// The head is not run: its input is all that is wanted.
Status see_head(const Workbench& bench, const std::vector<std::vector<Token>>& chunks,
                HiddenStates& states, Covariance& covariance) {
  Session& session = bench.session;
  const uint64_t width = bench.model().hyper.width;
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSIGN_OR_RETURN(const float* state, states.load(c));
    for (size_t begin = 0; begin < chunks[c].size(); begin += session.batch()) {
      const size_t n = std::min<size_t>(session.batch(), chunks[c].size() - begin);
      session.final_norm(state + begin * width, static_cast<int64_t>(n), session.hidden_buffer());
      add_tokens(session.team(), session.hidden_buffer(), static_cast<int64_t>(width),
                 static_cast<int64_t>(n), covariance);
    }
  }
  return Status();
}

Status see_layer(const Workbench& bench, uint32_t layer,
                 const std::vector<std::vector<Token>>& chunks, HiddenStates& states,
                 std::map<const Tensor*, Covariance>& covariances) {
  ForwardHooks hooks;
  hooks.on_linear_input = [&](const Tensor& tensor, const float* x, int64_t stride, int64_t n) {
    if (const auto it = covariances.find(&tensor); it != covariances.end())
      add_tokens(bench.session.team(), x, stride, n, it->second);
  };
  bench.session.set_hooks(std::move(hooks));
  const Status status = run_text(bench, layer, chunks, states);
  bench.session.set_hooks({});
  return status;
}

// What the columns of an input carry: as it was brought, else as the text says.
Status weigh_columns(const Workbench& bench, const Tensor& input, Covariance& covariance,
                     Importance& importance) {
  std::vector<float> mean(input.columns());
  covariance.mean_squares(mean);
  if (!all_finite(mean))
    return Status::bad_input("the model overflows on the calibration text",
                             "its weights are damaged: try another file");
  if (const auto brought = importance.find(&input); brought != importance.end()) {
    covariance.set_energies(bench.session.team(), brought->second);
    return {};
  }
  ASSIGN_OR_RETURN(const auto kept, bench.arena.take<float>(owner::kImportance, mean.size()));
  std::ranges::copy(mean, kept.begin());
  importance[&input] = kept;
  return {};
}

// One layer, or the head, from the states before it.
Status calibrate_layer(const Workbench& bench, uint32_t layer,
                       const std::vector<std::vector<Token>>& chunks, HiddenStates& states,
                       ColumnScales& scales, CovarianceFile& covariances, Importance& importance) {
  covariances.open_layer(layer);
  auto& opened = covariances.opened();
  for (auto& [input, covariance] : opened) covariance.clear();
  TRY(layer < bench.model().hyper.n_layers
          ? see_layer(bench, layer, chunks, states, opened)
          : see_head(bench, chunks, states, opened.at(bench.model().output)));
  for (auto& [input, covariance] : opened) {
    TRY(weigh_columns(bench, *input, covariance, importance));
    scales.settle(*input, covariance, bench.session.team());
  }
  TRY(covariances.keep());
  return keep_inputs(bench, layer, covariances.tensors_of(layer), importance, scales);
}

}  // namespace

Result<Importance> calibrate(const Workbench& bench, const std::vector<std::vector<Token>>& chunks,
                             ColumnScales& scales, CovarianceFile& covariances,
                             Importance importance) {
  const uint32_t n_layers = bench.model().hyper.n_layers;
  ASSIGN_OR_RETURN(const uint32_t first, first_to_calibrate(bench));
  for (uint32_t l = 0; l < first; ++l)
    TRY(take_inputs(bench, l, covariances.tensors_of(l), importance, scales));
  if (first <= n_layers) {
    ASSIGN_OR_RETURN(HiddenStates states, begin_text(bench, first, chunks));
    TRY(covariances.begin(bench));
    for (uint32_t l = first; l <= n_layers; ++l) {
      if (bench.progress) bench.progress("calibrating", static_cast<double>(l) / n_layers);
      TRY(calibrate_layer(bench, l, chunks, states, scales, covariances, importance));
      if (l < n_layers)
        TRY(keep_states(bench, record::kText, l + 1, states, all_of(chunks),
                        floats_of(bench, chunks)));
    }
  }
  TRY(forget_states(bench, record::kText));
  return importance;
}

}  // namespace enxuto
