#include "compress/forecast.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>

#include "compress/feedback.h"
#include "compress/state.h"

namespace enxuto {
namespace {

// Seconds of one core (AVX-512, 2025), fitted to SmolLM2-135M at every effort and Qwen2.5-1.5B:
// a weight and a token, forward and there and back; a product of covariances; a step of factoring
// one; a logit that is compared; a value that is read.
constexpr double kForward = 2.8e-11, kThereAndBack = 6.5e-11, kProduct = 2.4e-11;
constexpr double kFactoring = 1.1e-10, kLogit = 9e-8, kRead = 7e-9;
// A value that is rounded, with feedback over so many columns; swept over; whose loss is told. Of
// formats with super-blocks, and with codebooks, more.
constexpr double kPlain = 7e-8, kSuperBlock = 1.2e-7, kCodebook = 5e-7;
double rounding(double columns) { return 8.4e-8 + 3.9e-11 * columns; }
double sweep(double columns) { return 7.8e-8 + 1.3e-10 * columns; }
double loss(double columns) { return 2.8e-8 + 7e-11 * columns; }

constexpr double kSampleSeconds = 5e-3;  // of what tells how fast a machine is

double count(const Tensor& tensor) { return static_cast<double>(tensor.count()); }

// Products of covariances of so many columns, for one token; and steps of factoring it.
struct CovarianceWork {
  double products = 0, steps = 0;
  void add(uint64_t columns, uint64_t most = kCovarianceColumns) {
    const auto block = static_cast<double>(covariance_block(columns, most));
    products += static_cast<double>(columns) * block;
    steps += static_cast<double>(columns) * block * block / 3;
  }
};

struct Totals {
  double layers = 0, head = 0, all = 0;  // weights
  double probes = 0, walks = 0;          // and weights that a token meets in all disturbed copies
  CovarianceWork inputs, outputs;
};

Totals totals_of(const Model& model, const std::vector<Weight>& weights,
                 const CompressionPlan& plan) {
  Totals totals;
  const double n_layers = model.hyper.n_layers;
  for (const Weight& w : weights) {
    const double n = count(*w.tensor);
    totals.all += n;
    if (w.input == w.tensor) totals.inputs.add(w.tensor->columns(), plan.covariance_columns);
    if (w.layer == model.hyper.n_layers || w.embeds) continue;
    totals.layers += n;
    totals.outputs.add(w.tensor->rows());
  }
  totals.head = count(*model.output);
  for (const Weight& w : weights) {
    if (!plan.survey.has(*w.tensor)) continue;
    ++totals.probes;
    totals.walks += totals.layers / n_layers * (w.embeds ? n_layers : n_layers - w.layer);
  }
  return totals;
}

// That share a block of the covariance.
double columns_at_once(const Weight& w, const CompressionPlan& plan) {
  return static_cast<double>(covariance_block(w.tensor->columns(), plan.covariance_columns));
}

// A sample of the weight's rows in every format of its menu.
double measuring(const Weight& w, const std::vector<Type>& menu, const CompressionPlan& plan) {
  const double columns = columns_at_once(w, plan);
  double each = 2 * loss(columns) + kPlain;  // its own energy, and the probe's error
  for (const Type type : menu) {
    const Codec& codec = *find_codec(type);
    if (type == w.tensor->type) continue;
    each += loss(columns);
    if (codec.block_values == 1) continue;
    each += w.input ? rounding(columns) + plan.sweeps_to_compare * sweep(columns) : kPlain;
    if (codec.block_values >= 256) each += codec.set_points ? kCodebook : kSuperBlock;
  }
  return each * static_cast<double>(sample_rows(*w.tensor) * w.tensor->columns());
}

double writing(const Weight& w, const CompressionPlan& plan) {
  const double columns = columns_at_once(w, plan);
  return count(*w.tensor) * (w.input ? rounding(columns) + plan.sweeps * sweep(columns) : kPlain);
}

// The part of a stage that a state does not have.
double missing(const State& state, std::string_view stage, uint64_t n_layers, uint64_t n_weights) {
  const auto of = [&](const char* kind, uint64_t n) {
    uint64_t n_missing = 0;
    for (uint64_t i = 0; i < n; ++i) n_missing += !state.has(numbered(kind, i));
    return static_cast<double>(n_missing) / static_cast<double>(n);
  };
  if (stage == "calibrating") return of(record::kCalibrated, n_layers + 1);
  if (stage == "weighing outputs") return of(record::kOutputCovariance, n_weights - 1);
  if (stage == "probing") return !state.has(record::kSensitivities);
  return stage == "measuring" ? of(record::kErrors, n_layers + 1) : 1;
}

// A little of what most of the time goes into: rows that are rounded, and swept over once.
class Sample {
 public:
  explicit Sample(const Dense& dense)
      : memory_(*covariance_bytes(kColumns) / sizeof(float)),
        covariance_(dense, kColumns, memory_) {
    uint32_t state = 1;
    for (float& value : rows_) {
      state = state * 1664525 + 1013904223;
      value = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
    }
  }
  void prepare(ThreadTeam& team) {
    const std::vector<float> weights(kRowsAtOnce, 1.0f);
    covariance_.clear();
    covariance_.add(team, rows_.data(), kColumns, kRowsAtOnce, weights.data());
    covariance_.factor(team);
  }
  void round() const {
    const Codec& codec = *find_codec(Type::Q4_0);
    std::vector<uint8_t> blocks(kRowsAtOnce * codec.row_bytes(kColumns));
    std::vector<float> scratch(static_cast<size_t>(round_scratch(kRowsAtOnce, kColumns)));
    round_rows(codec, covariance_, rows_.data(), kRowsAtOnce, 1, blocks.data(), scratch.data());
  }

 private:
  static constexpr int64_t kColumns = 512;
  std::vector<float> memory_;
  Covariance covariance_;
  std::vector<float> rows_ = std::vector<float>(kRowsAtOnce * kColumns);
};

}  // namespace

double machine_speed(const Dense& dense, ThreadTeam& team) {
  constexpr std::chrono::milliseconds kLong(60);
  Sample sample(dense);
  sample.prepare(team);
  sample.round();  // what is loaded or compiled at first does not count
  std::atomic<int> rounds = 0;
  const auto start = std::chrono::steady_clock::now();
  team.parallel_for(team.size(), 1, [&](int64_t, int64_t, int) {
    do {
      sample.round();
      ++rounds;
    } while (std::chrono::steady_clock::now() - start < kLong);
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return rounds * kSampleSeconds / taken.count();
}

std::vector<StageTime> forecast(const Model& model, const CompressionPlan& plan,
                                const std::vector<Weight>& weights,
                                const std::vector<std::vector<Type>>& menus, bool writes,
                                const State* state, double speed) {
  const Totals t = totals_of(model, weights, plan);
  const CalibrationShape& shape = plan.shape;
  const double fit = double{1} * shape.fit_tokens * shape.fit_chunks;
  const double weigh = double{1} * shape.fit_tokens * plan.weigh_chunks;
  const double probe = double{1} * shape.probe_tokens * shape.probe_chunks;
  const double logits = probe / 2 * t.probes * static_cast<double>(model.output->rows());
  std::vector<StageTime> stages = {{"checking", t.all * kRead}};
  stages.push_back({"calibrating", fit * (t.layers * kForward + t.inputs.products * kProduct) +
                                       t.inputs.steps * kFactoring});
  if (writes && plan.weigh_chunks > 0)
    stages.push_back({"weighing outputs", weigh * ((t.layers + t.head) * kThereAndBack +
                                                   t.outputs.products * kProduct) +
                                              t.outputs.steps * kFactoring});
  stages.push_back({"probing", probe * t.walks * kForward + logits * kLogit +
                                   logits * static_cast<double>(model.hyper.width) * kForward});
  double measured = 0, written = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const Tensor& tensor = *weights[i].tensor;
    measured += measuring(
        weights[i],
        plan.survey.has(tensor) ? menus[i] : std::vector<Type>{probe_codec(tensor)->type}, plan);
    written += writing(weights[i], plan);
  }
  stages.push_back({"measuring", measured});
  if (writes) stages.push_back({"writing", written});
  for (StageTime& stage : stages) {
    if (state) stage.seconds *= missing(*state, stage.stage, model.hyper.n_layers, weights.size());
    stage.seconds /= std::max(speed, 1e-3);
  }
  return stages;
}

}  // namespace enxuto
