#include "compress/measured_errors.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "compress/measure.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

using Question = MeasuredErrors::Question;

// What has to be known of weight i. By one error a weight that is not surveyed is compared to
// those that are, which then answer for its menu too.
std::vector<Question> questions(const MeasuringTask& task, const Survey& survey, size_t i) {
  const Tensor& tensor = *task.weights[i].tensor;
  if (!survey.has(tensor)) return {{i, probe_codec(tensor)->type, true}};
  std::vector<Question> all;
  if (const Codec* probe = task.sensitivities[i].probe) all.push_back({i, probe->type, false});
  for (const Type type : task.menus[i]) all.push_back({i, type, true});
  for (size_t other = 0; other < task.weights.size(); ++other) {
    const Survey::Place& place = survey.place(*task.weights[other].tensor);
    if (other == i || (place.before != &tensor && place.after != &tensor)) continue;
    all.push_back({i, probe_codec(tensor)->type, true});
    for (const Type type : task.menus[other]) all.push_back({i, type, true});
  }
  std::ranges::sort(all);
  all.erase(std::ranges::unique(all).begin(), all.end());
  return all;
}

using Asked = std::vector<std::vector<Question>>;  // of each weight

// Up to which layer all is known.
uint32_t layers_known(const MeasuringTask& task, const Asked& asked, const MeasuredErrors& errors,
                      uint32_t n_layers) {
  uint32_t known = n_layers + 1;
  for (size_t i = 0; i < task.weights.size(); ++i)
    for (const Question& question : asked[i])
      if (!errors.knows(question)) known = std::min(known, task.weights[i].layer);
  return known;
}

Status measure_weight(const Workbench& bench, const MeasuringTask& task,
                      const std::vector<Question>& asked, CovarianceFile& covariances,
                      std::span<float> memory, MeasuredErrors& errors) {
  std::vector<Question> open;
  std::ranges::copy_if(asked, std::back_inserter(open),
                       [&](const Question& question) { return !errors.knows(question); });
  if (open.empty()) return {};
  const Weight& weight = task.weights[open.front().weight];
  Metric metric{nullptr, nullptr};
  if (weight.input) {
    metric.importance = task.importance.at(weight.input).data();
    ASSIGN_OR_RETURN(metric.covariance, covariances.of(weight));
  }
  ASSIGN_OR_RETURN(const RowSample sample,
                   RowSample::of(bench, *weight.tensor, metric, task.scales, memory));
  std::vector<double> answers(open.size());
  bench.session.team().parallel_for(
      static_cast<int64_t>(open.size()), 1, [&](int64_t i, int64_t, int) {
        const Question& question = open[static_cast<size_t>(i)];
        answers[static_cast<size_t>(i)] = sample.relative_error(question.type, question.as_written);
      });
  for (size_t i = 0; i < open.size(); ++i) errors.add(open[i], answers[i]);
  return {};
}

}  // namespace

Result<MeasuredErrors> MeasuredErrors::open(const State* state, const std::vector<Weight>& weights,
                                            uint32_t n_layers) {
  MeasuredErrors errors(state, weights);
  for (uint32_t l = 0; state && l <= n_layers; ++l)
    if (state->has(numbered(record::kErrors, l))) TRY(errors.read(l));
  return errors;
}

Status MeasuredErrors::read(uint32_t layer) {
  const std::string name = numbered(record::kErrors, layer);
  ASSIGN_OR_RETURN(const auto found, state_->get<Line>(name));
  for (const Line& line : found) {
    const bool sound = line.weight < weights_.size() && weights_[line.weight].layer == layer &&
                       find_codec(static_cast<Type>(line.type)) && std::isfinite(line.error) &&
                       line.error >= 0;
    if (!sound) return state_->damaged(name);
    add({line.weight, static_cast<Type>(line.type), line.as_written != 0}, line.error);
  }
  kept_[layer] = found.size();
  return {};
}

std::vector<MeasuredErrors::Line> MeasuredErrors::lines(uint32_t layer) const {
  std::vector<Line> lines;
  for (const auto& [question, error] : errors_)
    if (weights_[question.weight].layer == layer)
      lines.push_back({static_cast<uint32_t>(question.weight), static_cast<uint32_t>(question.type),
                       question.as_written, error});
  return lines;
}

Status MeasuredErrors::keep(uint32_t layer) {
  if (!state_) return {};
  const std::vector<Line> now = lines(layer);
  if (now.size() == kept_[layer]) return {};
  kept_[layer] = now.size();
  return state_->put<Line>(numbered(record::kErrors, layer), now);
}

Result<MeasuredErrors> measure_errors(const Workbench& bench, const MeasuringTask& task,
                                      CovarianceFile& covariances) {
  const uint32_t n_layers = bench.model().hyper.n_layers;
  ASSIGN_OR_RETURN(MeasuredErrors errors,
                   MeasuredErrors::open(bench.state, task.weights, n_layers));
  Asked asked;
  double n_asked = 0, n_answered = 0;
  for (size_t i = 0; i < task.weights.size(); ++i)
    n_asked +=
        static_cast<double>(asked.emplace_back(questions(task, bench.plan.survey, i)).size());
  if (bench.state)
    bench.state->begins("measuring", layers_known(task, asked, errors, n_layers), n_layers + 1);
  TRY(covariances.begin(bench));
  ASSIGN_OR_RETURN(const auto memory, bench.take<float>(largest_sample(task.weights)));
  for (uint32_t l = 0; l <= n_layers; ++l) {
    for (size_t i = 0; i < task.weights.size(); ++i) {
      if (task.weights[i].layer != l) continue;
      if (interrupted()) return Status::interrupted();
      if (bench.progress) bench.progress("measuring", n_answered / n_asked);
      TRY(measure_weight(bench, task, asked[i], covariances, memory, errors));
      n_answered += static_cast<double>(asked[i].size());
    }
    TRY(errors.keep(l));
  }
  return errors;
}

}  // namespace enxuto
