// compress in little memory: streamed weights and states in a file change nothing of the result;
// what is too little is refused before the work.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "compress/compress.h"
#include "compress/sensitivity.h"
#include "platform/interrupt.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

// Enough layers that two of them and the rest of a plan are less than the whole.
TinyOptions many_layers(const char* architecture) {
  return {.architecture = architecture, .width = 96, .n_layers = 8};
}

std::vector<std::vector<Token>> chunks_of(size_t n, size_t n_tokens) {
  std::vector<std::vector<Token>> chunks(n, std::vector<Token>(n_tokens));
  for (size_t c = 0; c < n; ++c)
    for (size_t t = 0; t < n_tokens; ++t)
      chunks[c][t] = static_cast<Token>((c * 77 + t * 31 + t * t) % 256);
  return chunks;
}

struct Measured {
  std::vector<float> importance, covariances, of_head;
  std::vector<double> klds;
};

Result<Measured> measure(const std::shared_ptr<const Model>& model, const CompressionPlan& plan,
                         const std::string& folder) {
  const std::vector<Weight> weights = find_weights(*model);
  ASSIGN_OR_RETURN(const auto session, Session::open(model, plan.inference));
  ASSIGN_OR_RETURN(const auto arena, Arena::open(plan.stages));
  ASSIGN_OR_RETURN(const auto reader, TensorReader::open(*model, plan, *arena));
  const Progress progress;
  const Workbench bench{plan, *session, *arena, *reader, folder, progress};
  Measured measured;
  ASSIGN_OR_RETURN(const Dense dense, Dense::load());
  ASSIGN_OR_RETURN(CovarianceFile covariances,
                   CovarianceFile::of_inputs(dense, weights, plan.covariance_columns, folder));
  ColumnScales scales;  // none: inputs as they are
  ASSIGN_OR_RETURN(const Importance importance,
                   calibrate(bench, chunks_of(3, 100), scales, covariances));
  for (const Weight& weight : weights)
    if (weight.input)
      measured.importance.insert(measured.importance.end(), importance.at(weight.input).begin(),
                                 importance.at(weight.input).end());
  bench.clear();
  TRY(covariances.begin(bench));
  for (const Weight& weight : weights) {
    if (!weight.input) continue;
    ASSIGN_OR_RETURN(const Covariance* covariance, covariances.of(weight));
    const CovarianceBlock& h = covariance->blocks().front();
    measured.covariances.insert(measured.covariances.end(), h.matrix, h.matrix + h.n * h.n);
    if (weight.tensor == model->output) measured.of_head = {h.matrix, h.matrix + h.n * h.n};
  }
  bench.clear();
  ASSIGN_OR_RETURN(const auto all,
                   measure_sensitivity(bench, weights, importance, chunks_of(2, 33)));
  for (const Sensitivity& sensitivity : all) measured.klds.push_back(sensitivity.kld);
  return measured;
}

// The inputs of the head, by the definition of its covariance.
TEST(CompressMemory, TheCovarianceOfTheHeadIsThatOfItsInputs) {
  const TemporaryModel model(tiny_model(many_layers("qwen2")), Type::F32);
  const auto plan = plan_compression(*model.get(), {.n_threads = 2});
  ASSERT_TRUE(plan.ok());
  const auto measured = measure(model.get(), *plan, std::filesystem::temp_directory_path());
  ASSERT_TRUE(measured.ok()) << measured.status().what();
  const int64_t width = model.get()->hyper.width;
  std::vector<double> expected(static_cast<size_t>(width * width));
  const auto session = Session::open(model.get(), plan->inference);
  ASSERT_TRUE(session.ok());
  for (const auto& chunk : chunks_of(3, 100)) {
    std::vector<float> state(chunk.size() * width), normed(state.size());
    for (size_t begin = 0; begin < chunk.size(); begin += (*session)->batch()) {
      const auto n = std::min<int64_t>((*session)->batch(), chunk.size() - begin);
      float* x = state.data() + begin * width;
      ASSERT_TRUE((*session)
                      ->embed(std::span(chunk).subspan(begin, n), static_cast<uint32_t>(begin), x)
                      .ok());
      ASSERT_TRUE(
          (*session)
              ->run_layers(0, model.get()->hyper.n_layers, static_cast<uint32_t>(begin), n, x)
              .ok());
      (*session)->final_norm(x, n, normed.data() + begin * width);
    }
    for (size_t t = 0; t < chunk.size(); ++t)
      for (int64_t i = 0; i < width * width; ++i)
        expected[i] += normed[t * width + i / width] * normed[t * width + i % width];
  }
  double mean = 0;
  for (int64_t i = 0; i < width; ++i) mean += expected[i * width + i] / static_cast<double>(width);
  const double damping = damping_for(width, 3 * 100);
  const float* h = measured->of_head.data();
  for (int64_t i = 0; i < width; ++i)
    for (int64_t j = 0; j <= i; ++j)
      EXPECT_NEAR(h[i * width + j], expected[i * width + j] + (i == j ? damping * mean : 0),
                  2e-3 * mean);
}

TEST(CompressMemory, WhereThingsLieDoesNotChangeWhatIsMeasured) {
  const std::string folder = std::filesystem::temp_directory_path();
  for (const char* architecture : {"llama", "gemma3", "deci", "gpt2", "qwen2moe"}) {
    const TemporaryModel model(tiny_model(many_layers(architecture)), Type::F32);
    const auto mapped = plan_compression(*model.get(), {.n_threads = 1});
    ASSERT_TRUE(mapped.ok());
    ASSERT_FALSE(mapped->streams);
    const auto expected = measure(model.get(), *mapped, folder);
    ASSERT_TRUE(expected.ok()) << expected.status().what();
    for (const double kld : expected->klds) EXPECT_GT(kld, 1e-9);
    auto streamed = plan_compression(*model.get(), {.n_threads = 1, .memory_bytes = 1});
    ASSERT_TRUE(streamed.ok());
    ASSERT_TRUE(streamed->streams);
    for (const bool on_disk : {false, true}) {
      streamed->states_on_disk = on_disk;
      const auto measured = measure(model.get(), *streamed, folder);
      ASSERT_TRUE(measured.ok()) << measured.status().what();
      EXPECT_EQ(measured->importance, expected->importance);
      EXPECT_TRUE(measured->covariances == expected->covariances);
      EXPECT_EQ(measured->klds, expected->klds);
    }
  }
}

class CompressMemoryFile : public testing::Test {
 protected:
  Result<std::string> run(const std::shared_ptr<const Model>& model, Effort effort,
                          uint64_t memory_bytes, const Progress& progress = {}) {
    CompressRequest request;
    request.effort = effort;
    request.calibration_text = builtin_calibration_text().substr(0, 2000);
    request.target_bytes = model->file_bytes / 3;
    request.types = {Type::Q4_0, Type::Q8_0};
    request.n_threads = 2;
    request.memory_bytes = memory_bytes;
    request.replace_output = true;
    ASSIGN_OR_RETURN(const CompressReport report,
                     compress(model, folder_.path("out.gguf"), request, progress));
    EXPECT_TRUE(memory_bytes == 0 || report.map.total_bytes() <= memory_bytes);
    std::ifstream in(folder_.path("out.gguf"), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  ScratchFolder folder_;
};

TEST_F(CompressMemoryFile, TheLeastMemoryGivesTheSameFileAndOneByteLessIsRefused) {
  const TemporaryModel model(tiny_model(many_layers("qwen2")), Type::F16);
  const auto tokenizer = Tokenizer::create(model.get()->metadata);
  ASSERT_TRUE(tokenizer.ok());
  const Effort effort = Effort::kBest;  // has every stage
  const auto plan =
      plan_compression(*model.get(), {.n_threads = 2,
                                      .effort = effort,
                                      .memory_bytes = 1,
                                      .tokenizer_bytes = (*tokenizer)->table_bytes()});
  ASSERT_TRUE(plan.ok());
  ASSERT_TRUE(plan->streams);
  const uint64_t least = plan->map.total_bytes();
  bool worked = false;
  const auto refused =
      run(model.get(), effort, least - 1, [&](std::string_view, double) { worked = true; });
  EXPECT_EQ(refused.status().code(), Code::kDoesNotFit);
  EXPECT_FALSE(worked);
  EXPECT_TRUE(folder_.names().empty());
  const auto whole = run(model.get(), effort, 0), little = run(model.get(), effort, least);
  ASSERT_TRUE(whole.ok()) << whole.status().what();
  ASSERT_TRUE(little.ok()) << little.status().what();
  EXPECT_TRUE(*whole == *little);
}

TEST_F(CompressMemoryFile, CtrlCInAnyStageLeavesNothing) {
  const TemporaryModel model(tiny_model({.architecture = "qwen2", .width = 96}), Type::F16);
  std::vector<std::string> stages;
  ASSERT_TRUE(run(model.get(), Effort::kBest, 0, [&](std::string_view stage, double) {
                if (stages.empty() || stages.back() != stage) stages.emplace_back(stage);
              }).ok());
  ASSERT_GE(stages.size(), 5u);
  std::filesystem::remove(folder_.path("out.gguf"));
  install_interrupt_handler();
  for (const std::string& at : stages) {
    clear_interrupt();
    const auto stopped =
        run(model.get(), Effort::kBest, 1u << 30, [&](std::string_view stage, double) {
          if (stage == at && !interrupted()) std::raise(SIGINT);
        });
    EXPECT_EQ(stopped.status().code(), Code::kInterrupted) << at << stopped.status().what();
    EXPECT_TRUE(folder_.names().empty()) << at;
  }
  clear_interrupt();
  remove_interrupt_handler();
}

}  // namespace
}  // namespace enxuto
