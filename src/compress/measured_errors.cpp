#include "compress/measured_errors.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>

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

// The weights of one layer, whose questions are answered side by side: most have one alone.
class LayerSamples {
 public:
  LayerSamples(const Workbench& bench, const MeasuringTask& task, std::span<float> memory)
      : bench_(bench), task_(task), rest_(memory) {}

  Status add(size_t i, const std::vector<Question>& open, CovarianceFile& covariances) {
    const Weight& weight = task_.weights[i];
    Metric metric{nullptr, nullptr};
    if (weight.input) {
      metric.importance = task_.importance.at(weight.input).data();
      ASSIGN_OR_RETURN(metric.covariance, covariances.of(weight));
    }
    const uint64_t n = sample_floats(*weight.tensor);
    ASSIGN_OR_RETURN(const RowSample sample,
                     RowSample::of(bench_, *weight.tensor, metric, task_.scales, rest_.first(n)));
    rest_ = rest_.subspan(n);
    samples_.push_back(sample);
    for (const Question& question : open) asked_.push_back({question, samples_.size() - 1});
    return {};
  }

  size_t count() const { return asked_.size(); }

  // tell(n): so many are answered.
  Status answer(MeasuredErrors& errors, const std::function<void(int64_t)>& tell) {
    ThreadTeam& team = bench_.session.team();
    team.parallel_for(static_cast<int64_t>(samples_.size()), 1,
                      [&](int64_t i, int64_t, int) { samples_[static_cast<size_t>(i)].weigh(); });
    std::vector<double> answers(asked_.size());
    std::atomic<int64_t> n_answered = 0;
    team.parallel_for(static_cast<int64_t>(asked_.size()), 1, [&](int64_t i, int64_t, int thread) {
      if (interrupted()) return;
      const auto& [question, sample] = asked_[static_cast<size_t>(i)];
      answers[static_cast<size_t>(i)] =
          samples_[sample].relative_error(question.type, question.as_written);
      const int64_t n = ++n_answered;
      if (thread == 0) tell(n);
    });
    if (interrupted()) return Status::interrupted();
    for (size_t i = 0; i < asked_.size(); ++i) errors.add(asked_[i].first, answers[i]);
    return {};
  }

 private:
  const Workbench& bench_;
  const MeasuringTask& task_;
  std::span<float> rest_;
  std::vector<RowSample> samples_;
  std::vector<std::pair<Question, size_t>> asked_;  // each with its sample's place
};

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
  ASSIGN_OR_RETURN(const auto memory, bench.take<float>(sample_floats_of_layers(task.weights)));
  for (uint32_t l = 0; l <= n_layers; ++l) {
    LayerSamples samples(bench, task, memory);
    for (size_t i = 0; i < task.weights.size(); ++i) {
      if (task.weights[i].layer != l) continue;
      n_answered += static_cast<double>(std::erase_if(
          asked[i], [&](const Question& question) { return errors.knows(question); }));
      if (!asked[i].empty()) TRY(samples.add(i, asked[i], covariances));
    }
    TRY(samples.answer(errors, [&](int64_t n) {
      if (bench.progress)
        bench.progress("measuring", (n_answered + static_cast<double>(n)) / n_asked);
    }));
    n_answered += static_cast<double>(samples.count());
    TRY(errors.keep(l));
  }
  return errors;
}

}  // namespace enxuto
