// Steps of training tiny models of each architecture: gradients against differences of the loss and
// against Hugging Face's (golden file, made by tools/golden_training.py), its steps of optimizers,
// and what must not change a result.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/parity/temporary_model.h"
#include "tests/parity/training_steps.h"

namespace enxuto {
namespace {

class Training : public testing::TestWithParam<const char*> {
 protected:
  Training() {
    options_.architecture = GetParam();
    options_.attention_bias = options_.architecture == "llama" || options_.architecture == "deci";
  }
  std::unique_ptr<Trainer> open(const TrainerSettings& s) {
    auto trainer = Trainer::open(TemporaryModel(options_, Type::F32).get(), s);
    EXPECT_TRUE(trainer.ok()) << trainer.status().what();
    return std::move(*trainer);
  }

  TinyOptions options_;
  TrainingTexts data_ = training_texts();
};

// Where a token's choice of experts changes, the loss jumps: here each meets all there are. Choices
// are Hugging Face's below.
TEST_P(Training, GradientsAreThoseOfTheLoss) {
  options_.n_experts = TinyModel::kExpertsUsed;
  const auto trainer = open(plain_steps(training_settings()));
  expect_gradients_of_the_loss(*trainer, data_.batch());
}

TEST_P(Training, KeptActivationsGiveTheGradientsOfTheLossToo) {
  options_.n_experts = TinyModel::kExpertsUsed;
  TrainerSettings s = plain_steps(training_settings());
  s.request.keeps_activations = true;
  const auto trainer = open(s);
  expect_gradients_of_the_loss(*trainer, data_.batch());
}

TEST_P(Training, DoesNotDependOnTheNumberOfThreads) {
  TrainerSettings s = training_settings();
  s.request.optimizer = Optimizer::kAdamW8bit;
  s.request.weights = Type::BF16;
  s.clip = 1;
  const auto one = open(s);
  s.request.n_threads = 3;
  const auto three = open(s);
  for (int step = 0; step < 3; ++step)
    EXPECT_EQ(one->step(data_.batch(), 1e-3f)->loss, three->step(data_.batch(), 1e-3f)->loss);
  EXPECT_EQ(learned_values(*one), learned_values(*three));
}

TEST_P(Training, LossFallsWithEachOptimizer) {
  const std::tuple<Optimizer, Type, float> ways[] = {{Optimizer::kAdamW, Type::F32, 4e-3f},
                                                     {Optimizer::kAdamW8bit, Type::BF16, 4e-3f},
                                                     {Optimizer::kApollo, Type::BF16, 1e-2f},
                                                     {Optimizer::kSgd, Type::BF16, 0.05f}};
  for (const auto& [optimizer, weights, rate] : ways) {
    TrainerSettings s = training_settings();
    s.request.optimizer = optimizer;
    s.request.weights = weights;
    const auto trainer = open(s);
    const double first = trainer->loss(data_.batch())->loss;
    for (int step = 0; step < 8; ++step) ASSERT_TRUE(trainer->step(data_.batch(), rate).ok());
    EXPECT_LT(trainer->loss(data_.batch())->loss, first - 1) << optimizer_name(optimizer);
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, Training,
                         testing::Values("llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2",
                                         "mixtral", "qwen2moe", "qwen3moe"),
                         [](const auto& test) { return std::string(test.param); });

// The most that one of a layer's experts does, of all that they do.
double largest_share(const std::shared_ptr<const Model>& model, std::span<const Token> text) {
  InferenceRequest request;
  request.context = static_cast<uint32_t>(text.size());
  const auto session = Session::open(model, request).value();
  std::vector<int64_t> met(model->hyper.n_experts);
  ForwardHooks hooks;
  hooks.on_expert = [&](uint32_t expert, const float*, int64_t n) { met[expert] += n; };
  session->set_hooks(std::move(hooks));
  EXPECT_TRUE(session->feed(text).ok());
  return static_cast<double>(std::ranges::max(met)) /
         static_cast<double>(std::accumulate(met.begin(), met.end(), int64_t{0}));
}

TEST(TrainingAMixture, BalancePutsAllExpertsToWork) {
  constexpr uint32_t kExperts = 8;
  const TrainingTexts data = training_texts();
  double shares[2];
  for (const bool balanced : {false, true}) {
    TrainerSettings s = training_settings();
    s.expert_balance = balanced ? 1.0f : 0.0f;
    TinyModel tiny = tiny_model({.architecture = "qwen3moe", .n_layers = 1, .n_experts = kExperts});
    // What all tokens have in common leads to the first three.
    for (float& value : tiny.find("token_embd.weight")->values) value += 1;
    std::vector<float>& router = tiny.find("blk.0.ffn_gate_inp.weight")->values;
    for (size_t i = 0; i < router.size(); ++i)
      router[i] = 0.1f * router[i] + (i < router.size() * 3 / kExperts ? 0.03f : 0);
    const auto trainer = Trainer::open(TemporaryModel(tiny, Type::F32).get(), s).value();
    for (int step = 0; step < 120; ++step) ASSERT_TRUE(trainer->step(data.batch(), 1e-3f).ok());
    shares[balanced] = largest_share(trainer->model(), std::span(data.tokens).first(kTextTokens));
  }
  EXPECT_LT(shares[true], 0.6 * shares[false]);
}

// Only the head knows of it: one architecture stands for all.
TEST(TrainingWithATeacher, GradientsAreThoseOfTheLoss) {
  TrainerSettings s = plain_steps(training_settings());
  s.request.teacher_top = kTaughtTop;
  const TrainingTexts data = training_texts();
  const auto trainer = Trainer::open(TemporaryModel(TinyOptions(), Type::F32).get(), s).value();
  put_taught(*trainer);
  expect_gradients_of_the_loss(*trainer, data.batch(), 5);
}

using nlohmann::json;

const json& golden() {
  static const json file = [] {
    std::ifstream in(ENXUTO_SOURCE_DIR "/tests/parity/testdata/training.json");
    return json::parse(in);
  }();
  return file;
}

// Of a step of rate 1, momentum 0.
void expect_gradients(Trainer& trainer, const std::vector<std::vector<float>>& before,
                      const json& gradients) {
  const auto after = learned_values(trainer);
  const auto slots = trainer.slots();
  size_t met = 0;
  for (size_t t = 0; t < slots.size(); ++t) {
    if (!gradients.contains(slots[t].tensor->name)) continue;
    SCOPED_TRACE(slots[t].tensor->name);
    ++met;
    const json& expected = gradients[slots[t].tensor->name];
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
  EXPECT_EQ(met, gradients.size());
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
    const std::string architecture = golden_case()["architecture"];
    if (architecture != "mixtral" && !architecture.ends_with("moe")) return;
    // From an input in bf16 some tokens choose other experts on the way back; and where a token
    // changes its experts a step sooner or later, losses next to nothing are not quite the same.
    settings_.request.keeps_activations = true;
    apart_ = {0.03, 4e-3};
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
    return Trainer::open(TemporaryModel(tiny, Type::F32).get(), settings_).value();
  }

  TrainerSettings settings_;
  TrainingTexts data_;
  struct {
    double of_loss, at_least;
    double most(double loss) const { return of_loss * loss + at_least; }
  } apart_ = {0.02, 2e-4};  // losses after some steps
};

TEST_P(GoldenTraining, GradientsAreHuggingFaces) {
  const auto trainer = open({{"momentum", 0}}, Optimizer::kSgd);
  const auto before = learned_values(*trainer);
  const auto done = trainer->step(data_.batch(), 1);
  ASSERT_TRUE(done.ok());
  EXPECT_NEAR(done->loss, golden_case()["loss"].get<double>(), 1e-4 * done->loss);
  expect_gradients(*trainer, before, golden_case()["gradients"]);
}

TEST_P(GoldenTraining, GradientsAgainstATeacherAreTorchs) {
  const json& taught = golden_case()["taught"];
  settings_.request.teacher_top = kTaughtTop;
  settings_.teacher_weight = taught["weight"];
  const auto trainer = open({{"momentum", 0}}, Optimizer::kSgd);
  put_taught(*trainer, 2);
  const auto before = learned_values(*trainer);
  const auto done = trainer->step(data_.batch(), 1);
  ASSERT_TRUE(done.ok());
  EXPECT_NEAR(*done->kld, taught["kld"].get<double>(), 1e-4 * *done->kld);
  expect_gradients(*trainer, before, taught["gradients"]);
}

// Of APOLLO its authors'.
TEST_P(GoldenTraining, StepsAreTorchs) {
  const std::pair<const char*, Optimizer> kinds[] = {{"adamw", Optimizer::kAdamW},
                                                     {"sgd", Optimizer::kSgd},
                                                     {"apollo", Optimizer::kApollo},
                                                     {"later", Optimizer::kApollo}};
  for (const auto& [name, kind] : kinds) {
    const json& optimizer = golden()["optimizers"][name];
    const auto trainer = open(optimizer, kind);
    trainer->set_steps(optimizer.value("steps_before", 0));
    for (const json& loss : golden_case()[name]) {
      const auto done = trainer->step(data_.batch(), optimizer["lr"]);
      ASSERT_TRUE(done.ok());
      const double expected = loss;
      EXPECT_NEAR(done->loss, expected, apart_.most(expected)) << name;
    }
  }
}

// A decay of 0.89 moves the second loss by a seventh.
TEST_P(GoldenTraining, TheAverageIsTorchs) {
  settings_.request.averages = true, settings_.ema = golden()["decay"];
  const json& optimizer = golden()["optimizers"]["adamw"];
  const auto trainer = open(optimizer, Optimizer::kAdamW);
  uint64_t step = 0;
  for (const json& averaged : golden_case()["adamw_averaged"]) {
    for (; step < averaged[0]; ++step)
      ASSERT_TRUE(trainer->step(data_.batch(), optimizer["lr"]).ok());
    const auto weights = learned_values(*trainer);
    ASSERT_TRUE(trainer->exchange_average().ok());
    const double expected = averaged[1];
    EXPECT_NEAR(trainer->loss(data_.batch())->loss, expected, apart_.most(expected)) << step;
    ASSERT_TRUE(trainer->exchange_average().ok());
    EXPECT_EQ(learned_values(*trainer), weights);
  }
  EXPECT_EQ(step, 20u);
}

INSTANTIATE_TEST_SUITE_P(Steps, GoldenTraining, testing::Range<size_t>(0, 9));

}  // namespace
}  // namespace enxuto
