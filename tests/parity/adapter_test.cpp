// Low-rank adapters: steps of training against differences of the loss, files against what was
// learned, a model with its adapter against the merged one, and files that do not fit.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "infer/session.h"
#include "models/adapter.h"
#include "tests/parity/temporary_model.h"
#include "tests/parity/training_steps.h"
#include "train/merge_adapter.h"

namespace enxuto {
namespace {

constexpr uint32_t kRank = 4;

TrainerSettings settings() {
  TrainerSettings s = training_settings();
  s.request.lora_rank = kRank;
  s.weight_decay = 0;
  return s;
}

std::vector<uint8_t> bytes_of(const Model& model) {
  std::vector<uint8_t> all;
  for (const Tensor& tensor : model.tensors)
    all.insert(all.end(), tensor.data.begin(), tensor.data.end());
  return all;
}

std::unique_ptr<Trainer> open(const std::shared_ptr<const Model>& model, const TrainerSettings& s) {
  auto trainer = Trainer::open(model, s);
  EXPECT_TRUE(trainer.ok()) << trainer.status().what();
  return std::move(*trainer);
}

// So that a's gradient, which b is a factor of, is not zero.
void disturb_b(Trainer& trainer) {
  for (const auto& slot : trainer.slots()) {
    if (!slot.tensor->name.ends_with("lora_b")) continue;
    auto* b = reinterpret_cast<float*>(slot.weights.data());
    for (uint64_t i = 0; i < slot.tensor->count(); ++i)
      b[i] = 0.05f * static_cast<float>(std::sin(static_cast<double>(i * 37 % 101)));
  }
}

class Lora : public testing::TestWithParam<const char*> {
 protected:
  Lora() {
    options_.architecture = GetParam();
    options_.attention_bias = options_.architecture == "llama" || options_.architecture == "deci";
  }
  TinyOptions options_;
  TrainingTexts data_ = training_texts();
};

TEST_P(Lora, GradientsAreThoseOfTheLoss) {
  options_.n_experts = TinyModel::kExpertsUsed;  // the loss jumps where a choice of them changes
  const TemporaryModel model(options_, Type::F32);
  const auto trainer = open(model.get(), plain_steps(settings()));
  disturb_b(*trainer);
  // Each third: in three layers of seven matrices, a and b of each kind.
  expect_gradients_of_the_loss(*trainer, data_.batch(), 3);
}

TEST_P(Lora, LearnsOnQuantizedWeightsThatStayAsTheyAre) {
  for (const Type type : {Type::Q8_0, Type::Q4_0}) {
    const TemporaryModel model(options_, type);
    const auto before = bytes_of(*model.get());
    const auto trainer = open(model.get(), settings());
    const double first = trainer->loss(data_.batch())->loss;
    for (int step = 0; step < 12; ++step) ASSERT_TRUE(trainer->step(data_.batch(), 2e-2f).ok());
    EXPECT_LT(trainer->loss(data_.batch())->loss, first - 0.5);
    EXPECT_EQ(bytes_of(*model.get()), before);
  }
}

TEST_P(Lora, DoesNotDependOnTheNumberOfThreads) {
  const TemporaryModel model(options_, Type::Q8_0);
  TrainerSettings s = settings();
  s.request.optimizer = Optimizer::kAdamW8bit;
  s.clip = 1;
  const auto one = open(model.get(), s);
  s.request.n_threads = 3;
  const auto three = open(model.get(), s);
  for (int step = 0; step < 3; ++step)
    EXPECT_EQ(one->step(data_.batch(), 1e-2f)->loss, three->step(data_.batch(), 1e-2f)->loss);
  EXPECT_EQ(learned_values(*one), learned_values(*three));
}

// A model that does not fit is read from its file layer by layer, and nothing else changes.
TEST_P(Lora, LearnsTheSameWhereItsModelIsStreamed) {
  options_.n_layers = 8;
  options_.n_experts = TinyModel::kExpertsUsed;  // as many as a layer that is held reads
  const TemporaryModel model(options_, Type::F32);
  TrainerSettings s = settings();
  s.request.pass_sequences = 1;
  const auto mapped = open(model.get(), s);
  s.request.streaming_bytes = 1;
  const uint64_t least = plan_training(*model.get(), s.request)->total_bytes();
  ASSERT_LT(least, mapped->memory_map().total_bytes());
  s.request.streaming_bytes = 0;
  EXPECT_FALSE(fit_training(*model.get(), s.request, least - 1).ok());
  s.request = *fit_training(*model.get(), s.request, least);
  const auto streamed = open(model.get(), s);
  EXPECT_LE(streamed->memory_map().total_bytes(), least);
  EXPECT_EQ(streamed->memory_map().find(owner::kWeights), nullptr);
  for (int step = 0; step < 3; ++step) {
    const auto one = mapped->step(data_.batch(), 1e-2f),
               other = streamed->step(data_.batch(), 1e-2f);
    ASSERT_TRUE(one.ok() && other.ok()) << other.status().what();
    EXPECT_EQ(one->loss, other->loss);
  }
  EXPECT_EQ(learned_values(*mapped), learned_values(*streamed));
  // There and back, the head at both, and what was read ahead for nothing.
  const StreamStatistics read = streamed->session().stream_statistics();
  EXPECT_GE(read.bytes_read, 3 * 2 * read.bytes_per_pass);
  EXPECT_LE(read.bytes_read, 3 * 3 * read.bytes_per_pass);
}

TEST_P(Lora, TakesWhatWasPlanned) {
  const TemporaryModel model(options_, Type::Q8_0);
  const auto trainer = open(model.get(), settings());
  const MemoryMap& map = trainer->memory_map();
  EXPECT_EQ(map.find(owner::kParameters), nullptr);
  ASSERT_NE(map.find(owner::kAdapter), nullptr);
  ASSERT_NE(map.find(owner::kWeights), nullptr);
  EXPECT_EQ(map.find(owner::kWeights)->kind, PartKind::kMapped);
  EXPECT_TRUE(fit_training(*model.get(), settings().request, map.total_bytes()).ok());
  const auto less = fit_training(*model.get(), settings().request, map.total_bytes() / 2);
  EXPECT_EQ(less.status().code(), Code::kDoesNotFit);
}

// What a model gives after some tokens: fed at once, one by one, and all of them checked at once.
std::vector<float> logits_of(std::shared_ptr<const Model> model,
                             std::shared_ptr<const Adapter> adapter) {
  InferenceRequest request;
  request.context = 64, request.batch = 16, request.n_threads = 2;
  request.adapter = std::move(adapter);
  const auto session = Session::open(std::move(model), request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  const std::vector<Token> tokens = {10, 200, 31, 4, 77, 123, 9, 250, 18, 66, 5, 101};
  const auto logits = (*session)->feed(tokens);
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  return {logits->begin(), logits->end()};
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, all = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    squares += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    all += double{a[i]} * a[i];
  }
  return std::sqrt(squares / all);
}

TEST_P(Lora, AFileAddsWhatWasLearnedAndMergesIntoTheWeights) {
  const TemporaryModel model(options_, Type::F32);
  const auto trainer = open(model.get(), settings());
  disturb_b(*trainer);
  const ScratchFolder folder;
  const std::string file = folder.path("adapter.gguf"), merged = folder.path("merged.gguf");
  ASSERT_TRUE(write_adapter(*trainer->adapter(), *trainer->model(), file, false).ok());
  const auto adapter = open_adapter(file, *model.get());
  ASSERT_TRUE(adapter.ok()) << adapter.status().what();
  EXPECT_EQ((*adapter)->count(), trainer->layout().n_parameters);
  const auto without = logits_of(model.get(), nullptr);
  const auto learned = logits_of(model.get(), trainer->adapter());
  const auto read = logits_of(model.get(), *adapter);
  EXPECT_EQ(learned, read);
  EXPECT_GT(distance(learned, without), 0.01);
  const auto report = merge_adapter(*model.get(), **adapter, merged, false, 2, {});
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_TRUE(report->rounded.empty());
  const auto whole = open_model(merged);
  ASSERT_TRUE(whole.ok()) << whole.status().what();
  EXPECT_EQ((*whole)->file_bytes, report->file_bytes);
  EXPECT_LT(distance(learned, logits_of(*whole, nullptr)), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Steps, Lora,
                         testing::Values("llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2",
                                         "mixtral", "qwen2moe", "qwen3moe"),
                         [](const auto& test) { return std::string(test.param); });

// Rows of q and k of a llama lie in another order at Hugging Face than in the adapter's file.
TEST(Adapters, OfOneFileAndFolderAreTheSame) {
  TinyOptions options;
  options.rope_factors = false;
  const TinyModel tiny = tiny_model(options);
  const TemporaryModel file(tiny, Type::F32), folder(tiny);
  const auto trainer = open(folder.get(), settings());
  disturb_b(*trainer);
  const ScratchFolder scratch;
  const std::string path = scratch.path("adapter.gguf");
  ASSERT_TRUE(write_adapter(*trainer->adapter(), *trainer->model(), path, false).ok());
  const auto of_file = open_adapter(path, *file.get()),
             of_folder = open_adapter(path, *folder.get());
  ASSERT_TRUE(of_file.ok() && of_folder.ok());
  const auto expected = logits_of(folder.get(), trainer->adapter());
  EXPECT_EQ(logits_of(folder.get(), *of_folder), expected);
  EXPECT_GT(distance(expected, logits_of(file.get(), nullptr)), 0.1);
  EXPECT_LT(distance(expected, logits_of(file.get(), *of_file)), 1e-4);
  const std::string merged = scratch.path("merged.gguf");
  ASSERT_TRUE(merge_adapter(*folder.get(), **of_folder, merged, false, 2, {}).ok());
  const auto whole = open_model(merged);
  ASSERT_TRUE(whole.ok()) << whole.status().what();
  EXPECT_LT(distance(expected, logits_of(*whole, nullptr)), 1e-4);
}

TEST(Adapters, RoundsAgainWhatWasQuantizedAndSaysSo) {
  const TemporaryModel model(TinyOptions{}, Type::Q8_0);
  const auto trainer = open(model.get(), settings());
  disturb_b(*trainer);
  const ScratchFolder scratch;
  const auto report =
      merge_adapter(*model.get(), *trainer->adapter(), scratch.path("merged.gguf"), false, 2, {});
  ASSERT_TRUE(report.ok()) << report.status().what();
  EXPECT_EQ(report->rounded, std::vector<Type>{Type::Q8_0});
  EXPECT_NEAR(report->kept_change, 1, 0.1);
  const auto whole = open_model(scratch.path("merged.gguf"));
  ASSERT_TRUE(whole.ok());
  const auto expected = logits_of(model.get(), trainer->adapter());
  EXPECT_LT(distance(expected, logits_of(*whole, nullptr)), 0.05);
}

// Weights that lie on the steps of their format go back there.
TEST(Adapters, ChangesOfLessThanAStepAreLostInWhatWasQuantized) {
  const TemporaryModel coarse(TinyOptions{}, Type::Q4_0), fine(TinyOptions{}, Type::F32);
  const ScratchFolder scratch;
  const auto kept = [&](const TemporaryModel& model, const char* name) {
    const auto trainer = open(model.get(), settings());
    disturb_b(*trainer);
    for (const auto& slot : trainer->slots())
      if (slot.tensor->name.ends_with("lora_b")) {
        auto* b = reinterpret_cast<float*>(slot.weights.data());
        for (uint64_t i = 0; i < slot.tensor->count(); ++i) b[i] *= 0.01f;
      }
    const auto report =
        merge_adapter(*model.get(), *trainer->adapter(), scratch.path(name), false, 2, {});
    EXPECT_TRUE(report.ok()) << report.status().what();
    return report->kept_change;
  };
  EXPECT_LT(kept(coarse, "coarse.gguf"), 0.1);
  EXPECT_NEAR(kept(fine, "fine.gguf"), 1, 1e-3);
}

// A streamed model, and tokens verified in one pass, add the adapter as others do.
TEST(Adapters, AreAddedWhereverWeightsLieAndHoweverTokensCome) {
  const TemporaryModel model({.architecture = "llama", .width = 256}, Type::Q8_0);
  const auto trainer = open(model.get(), settings());
  disturb_b(*trainer);
  InferenceRequest request;
  request.context = 32, request.batch = 5, request.logit_rows = 5;
  request.adapter = trainer->adapter();
  const std::vector<Token> tokens = {10, 200, 31, 4, 77};
  const auto one_by_one = Session::open(model.get(), request);
  ASSERT_TRUE(one_by_one.ok());
  std::vector<float> expected;
  for (const Token token : tokens) {
    const auto logits = (*one_by_one)->feed({{token}});
    ASSERT_TRUE(logits.ok());
    expected.insert(expected.end(), logits->begin(), logits->end());
  }
  request.memory_bytes = 1;
  const auto streamed = Session::open(model.get(), request);
  ASSERT_TRUE(streamed.ok()) << streamed.status().what();
  ASSERT_GT((*streamed)->stream_statistics().bytes_per_pass, 0u);
  for (const auto* session : {&one_by_one, &streamed}) {
    (**session)->rewind(0);
    const auto all = (**session)->feed_each(tokens);
    ASSERT_TRUE(all.ok());
    EXPECT_EQ(std::vector<float>(all->begin(), all->end()), expected);
  }
}

// Files that are no adapter of this model, each with a word of why.
class BadAdapter : public testing::Test {
 protected:
  // An adapter of attn_q of layer 0 after `change`.
  struct Parts {
    Metadata metadata;
    std::vector<Tensor> tensors;
  };
  std::string refused(const std::function<void(Parts&)>& change) {
    Parts parts;
    parts.metadata.set_string("general.type", "adapter");
    parts.metadata.set_string("general.architecture", "llama");
    parts.metadata.set_string("adapter.type", "lora");
    parts.metadata.set_f32("adapter.lora.alpha", 4);
    const Tensor& q = *model_.get()->layers[0].q;
    parts.tensors = {tensor(q.name + ".lora_a", q.columns(), 2),
                     tensor(q.name + ".lora_b", 2, q.rows())};
    change(parts);
    const std::string path = folder_.path("adapter.gguf");
    EXPECT_TRUE(write(parts, path).ok());
    const auto adapter = open_adapter(path, *model_.get());
    if (adapter.ok()) return run(*adapter);
    EXPECT_EQ(adapter.status().code(), Code::kBadInput);
    EXPECT_FALSE(adapter.status().todo().empty());
    return adapter.status().what();
  }
  std::string run(std::shared_ptr<const Adapter> adapter) {
    InferenceRequest request;
    request.context = request.batch = 4;
    request.adapter = std::move(adapter);
    const auto session = Session::open(model_.get(), request);
    return session.ok() ? "" : session.status().what();
  }
  static Tensor tensor(std::string name, uint64_t columns, uint64_t rows) {
    Tensor t;
    t.name = std::move(name);
    t.n_dims = 2;
    t.shape[0] = columns, t.shape[1] = rows;
    return t;
  }
  Status write(const Parts& parts, const std::string& path) const {
    ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, true));
    GgufWriter writer(out, parts.metadata);
    for (const Tensor& t : parts.tensors) TRY(writer.add(t.name, t.type, {t.shape, t.n_dims}));
    TRY(writer.begin());
    for (const Tensor& t : parts.tensors) {
      std::vector<float> values(t.count(), fill_);
      TRY(writer.write({reinterpret_cast<const uint8_t*>(values.data()), t.bytes()}));
    }
    TRY(writer.finish());
    return out.commit();
  }

  TemporaryModel model_{TinyOptions{}, Type::F32};
  ScratchFolder folder_;
  float fill_ = 0.01f;
};

TEST_F(BadAdapter, IsRefusedWithAReason) {
  using testing::HasSubstr;
  EXPECT_EQ(refused([](Parts&) {}), "") << "as it is, it is one";
  EXPECT_EQ(refused([](Parts& p) { p.metadata.erase("adapter.lora.alpha"); }), "");
  EXPECT_THAT(refused([](Parts& p) { p.metadata.set_string("general.type", "model"); }),
              HasSubstr("no adapter"));
  EXPECT_THAT(refused([](Parts& p) { p.metadata.set_string("adapter.type", "control"); }),
              HasSubstr("not lora"));
  EXPECT_THAT(refused([](Parts& p) { p.metadata.set_string("general.architecture", "qwen2"); }),
              HasSubstr("of a qwen2"));
  EXPECT_THAT(refused([](Parts& p) { p.metadata.set_f32("adapter.lora.alpha", NAN); }),
              HasSubstr("alpha"));
  EXPECT_THAT(refused([](Parts& p) {
                p.metadata.set_i32s("adapter.alora.invocation_tokens", std::vector<int32_t>{1});
              }),
              HasSubstr("aLoRA"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors.clear(); }), HasSubstr("without tensors"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors.pop_back(); }), HasSubstr("no lora_b"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors[0].shape[0] += 32; }), HasSubstr("which has"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors[1].shape[1] += 1; }), HasSubstr("which has"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors[0].shape[1] = 3; }), HasSubstr("rank 3"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors[0].name = "blk.0.attn_q.weight"; }),
              HasSubstr("neither"));
  EXPECT_THAT(refused([](Parts& p) { p.tensors[0].type = Type::I32; }), HasSubstr("no weights"));
  for (const char* name : {"blk.99.attn_q.weight", "token_embd.weight", "blk.0.attn_norm.weight"})
    EXPECT_THAT(refused([&](Parts& p) {
                  p.tensors[0].name = std::string(name) + ".lora_a";
                  p.tensors[1].name = std::string(name) + ".lora_b";
                }),
                HasSubstr(name));
  fill_ = INFINITY;
  EXPECT_THAT(refused([](Parts&) {}), HasSubstr("not finite"));
}

}  // namespace
}  // namespace enxuto
