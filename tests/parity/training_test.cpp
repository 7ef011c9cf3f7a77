// Steps of training tiny models of each architecture: gradients against differences of the loss and
// against Hugging Face's (golden file, made by tools/golden_training.py), its steps of optimizers,
// and what must not change a result.
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/parity/temporary_model.h"
#include "train/trainer.h"

namespace enxuto {
namespace {

constexpr uint32_t kContext = 70, kTexts = 3;  // longer than a block of attention and than a window

struct Data {
  std::vector<Token> tokens;
  std::vector<uint8_t> counts;
  Batch batch() const { return {tokens, counts}; }
};

Data data() {
  Data data;
  for (uint32_t text = 0; text < kTexts; ++text)
    for (uint32_t t = 0; t <= kContext; ++t) {
      data.tokens.push_back(static_cast<Token>(3 + (t * t * 31 + text * 17) % 285));
      if (t < kContext) data.counts.push_back(t % 5 != 0);
    }
  return data;
}

TrainerSettings settings() {
  TrainerSettings s;
  s.request.context = kContext, s.request.sequences = kTexts, s.request.pass_sequences = 2;
  s.request.n_threads = 2;
  s.clip = 0;
  return s;
}

std::vector<std::vector<float>> values(Trainer& trainer) {
  std::vector<std::vector<float>> all;
  for (const auto& slot : trainer.slots()) {
    all.emplace_back(slot.tensor->count());
    slot.tensor->codec().decode(slot.weights.data(), all.back().data(), all.back().size());
  }
  return all;
}

class Training : public testing::TestWithParam<const char*> {
 protected:
  Training() {
    options_.architecture = GetParam();
    options_.attention_bias = options_.architecture == "llama" || options_.architecture == "deci";
  }
  std::unique_ptr<Trainer> open(const TrainerSettings& s) {
    auto trainer = Trainer::open(*TemporaryModel(options_, Type::F32).get(), s);
    EXPECT_TRUE(trainer.ok()) << trainer.status().what();
    return std::move(*trainer);
  }

  TinyOptions options_;
  Data data_ = data();
};

// One step of plain SGD moves weights by the gradient itself.
TEST_P(Training, GradientsAreThoseOfTheLoss) {
  TrainerSettings s = settings();
  s.request.optimizer = Optimizer::kSgd;
  s.beta1 = 0, s.weight_decay = 0;
  const auto trainer = open(s);
  const auto before = values(*trainer);
  ASSERT_TRUE(trainer->step(data_.batch(), 1).ok());
  const auto after = values(*trainer);
  const auto slots = trainer->slots();
  const auto set = [&](size_t tensor, double along, const std::vector<float>& way) {
    auto* weights = reinterpret_cast<float*>(slots[tensor].weights.data());
    for (size_t i = 0; i < way.size(); ++i)
      weights[i] = static_cast<float>(before[tensor][i] + along * way[i]);
  };
  for (size_t t = 0; t < slots.size(); ++t)
    std::memcpy(slots[t].weights.data(), before[t].data(), slots[t].weights.size());
  for (size_t t = 0; t < slots.size(); ++t) {
    SCOPED_TRACE(slots[t].tensor->name);
    std::vector<float> gradient(before[t].size());
    double squares = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] = before[t][i] - after[t][i];
      squares += double{gradient[i]} * gradient[i];
    }
    if (!learns(*trainer->model(), *slots[t].tensor)) {
      EXPECT_EQ(squares, 0);
      continue;
    }
    ASSERT_GT(squares, 0);
    const double step = 0.02 / squares;  // changes the loss by 0.02 nats
    const auto difference = [&](double by) {
      set(t, by, gradient);
      const double above = trainer->loss(data_.batch())->loss;
      set(t, -by, gradient);
      return above - trainer->loss(data_.batch())->loss;
    };
    EXPECT_NEAR((8 * difference(step) - difference(2 * step)) / 6 / 0.04, 1, 0.005);
    set(t, 0, gradient);
  }
}

TEST_P(Training, DoesNotDependOnTheNumberOfThreads) {
  TrainerSettings s = settings();
  s.request.optimizer = Optimizer::kAdamW8bit;
  s.request.weights = Type::BF16;
  s.clip = 1;
  const auto one = open(s);
  s.request.n_threads = 3;
  const auto three = open(s);
  for (int step = 0; step < 3; ++step)
    EXPECT_EQ(one->step(data_.batch(), 1e-3f)->loss, three->step(data_.batch(), 1e-3f)->loss);
  EXPECT_EQ(values(*one), values(*three));
}

TEST_P(Training, LossFallsWithEachOptimizer) {
  const std::tuple<Optimizer, Type, float> ways[] = {{Optimizer::kAdamW, Type::F32, 4e-3f},
                                                     {Optimizer::kAdamW8bit, Type::BF16, 4e-3f},
                                                     {Optimizer::kSgd, Type::BF16, 0.05f}};
  for (const auto& [optimizer, weights, rate] : ways) {
    TrainerSettings s = settings();
    s.request.optimizer = optimizer;
    s.request.weights = weights;
    const auto trainer = open(s);
    const double first = trainer->loss(data_.batch())->loss;
    for (int step = 0; step < 8; ++step) ASSERT_TRUE(trainer->step(data_.batch(), rate).ok());
    EXPECT_LT(trainer->loss(data_.batch())->loss, first - 1) << optimizer_name(optimizer);
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, Training,
                         testing::Values("llama", "qwen2", "qwen3", "gemma3", "deci"),
                         [](const auto& test) { return std::string(test.param); });

using nlohmann::json;

const json& golden() {
  static const json file = [] {
    std::ifstream in(ENXUTO_SOURCE_DIR "/tests/parity/testdata/training.json");
    return json::parse(in);
  }();
  return file;
}

// PyTorch's own sums, and inputs of layers that wait for their way back in bf16.
class GoldenTraining : public testing::TestWithParam<size_t> {
 protected:
  GoldenTraining() {
    for (const json& text : golden()["tokens"])
      for (const json& token : text) data_.tokens.push_back(token);
    data_.counts.assign(48, 1);
    settings_.request.context = 24, settings_.request.sequences = 2;
    settings_.clip = 0;
  }
  const json& golden_case() const { return golden()["cases"][GetParam()]; }
  std::unique_ptr<Trainer> open(const json& optimizer, Optimizer kind) {
    TinyOptions options;
    options.architecture = golden_case()["architecture"];
    options.attention_bias = golden_case()["attention_bias"];
    TinyModel tiny = tiny_model(options);
    if (golden_case()["without_head"])
      std::erase_if(tiny.tensors, [](const TinyTensor& t) { return t.name == "output.weight"; });
    settings_.request.optimizer = kind;
    settings_.beta1 = kind == Optimizer::kSgd ? optimizer["momentum"] : optimizer["betas"][0];
    settings_.weight_decay = optimizer.value("weight_decay", 0.0f);
    return Trainer::open(*TemporaryModel(tiny, Type::F32).get(), settings_).value();
  }

  TrainerSettings settings_;
  Data data_;
};

TEST_P(GoldenTraining, GradientsAreHuggingFaces) {
  const auto trainer = open({{"momentum", 0}}, Optimizer::kSgd);
  const auto before = values(*trainer);
  const auto done = trainer->step(data_.batch(), 1);
  ASSERT_TRUE(done.ok());
  EXPECT_NEAR(done->loss, golden_case()["loss"].get<double>(), 1e-4 * done->loss);
  const auto after = values(*trainer);
  const auto slots = trainer->slots();
  size_t met = 0;
  for (size_t t = 0; t < slots.size(); ++t) {
    if (!golden_case()["gradients"].contains(slots[t].tensor->name)) continue;
    SCOPED_TRACE(slots[t].tensor->name);
    ++met;
    const json& expected = golden_case()["gradients"][slots[t].tensor->name];
    double squares = 0;
    for (size_t i = 0; i < before[t].size(); ++i)
      squares += std::pow(double{before[t][i]} - after[t][i], 2);
    const double norm = expected["norm"];
    EXPECT_NEAR(std::sqrt(squares), norm, 0.01 * norm);
    const double spread = norm / std::sqrt(static_cast<double>(before[t].size()));
    for (const json& element : expected["elements"]) {
      const size_t i = element[0];
      EXPECT_NEAR(before[t][i] - after[t][i], element[1].get<double>(),
                  0.02 * std::fabs(element[1].get<double>()) + 0.05 * spread);
    }
  }
  EXPECT_EQ(met, golden_case()["gradients"].size());
}

TEST_P(GoldenTraining, StepsAreTorchs) {
  for (const Optimizer kind : {Optimizer::kAdamW, Optimizer::kSgd}) {
    const std::string name = optimizer_name(kind);
    const json& optimizer = golden()["optimizers"][name];
    const auto trainer = open(optimizer, kind);
    for (const json& loss : golden_case()[name]) {
      const auto done = trainer->step(data_.batch(), optimizer["lr"]);
      ASSERT_TRUE(done.ok());
      const double expected = loss;
      EXPECT_NEAR(done->loss, expected, 0.02 * expected + 2e-4) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, GoldenTraining, testing::Range<size_t>(0, 5));

}  // namespace
}  // namespace enxuto
