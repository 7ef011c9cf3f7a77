// A model larger than its memory computes the same, inside the memory, and says so when the disk
// fails.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "infer/session.h"
#include "platform/faults.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

const std::vector<Token> kTokens = {10, 200, 31, 4, 77, 123, 9, 250, 18, 66, 5, 101};

InferenceRequest request_of(uint64_t memory_bytes) {
  InferenceRequest request;
  request.context = 32;
  request.batch = 5;
  request.memory_bytes = memory_bytes;
  return request;
}

uint64_t planned(const Model& model, uint64_t memory_bytes) {
  const auto map = plan_inference(model, request_of(memory_bytes));
  EXPECT_TRUE(map.ok());
  return map->total_bytes();
}

std::vector<float> logits_of(Session& session) {
  std::vector<float> all;
  for (const size_t from : {size_t{0}, size_t{7}, size_t{8}}) {
    const size_t to = from == 0 ? 7 : from == 7 ? 8 : kTokens.size();
    const auto logits = session.feed(std::span(kTokens).subspan(from, to - from));
    EXPECT_TRUE(logits.ok()) << logits.status().what();
    if (logits.ok()) all.insert(all.end(), logits->begin(), logits->end());
  }
  return all;
}

TEST(Streaming, GivesTheSameLogitsAtEveryBudget) {
  for (const char* architecture :
       {"llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2", "mixtral", "qwen2moe"}) {
    const TemporaryModel model({.architecture = architecture, .width = 256}, Type::F32);
    const auto whole = Session::open(model.get(), request_of(0));
    ASSERT_TRUE(whole.ok());
    const auto expected = logits_of(**whole);
    EXPECT_EQ((*whole)->stream_statistics().bytes_per_pass, 0u);
    const uint64_t most = planned(*model.get(), 0), least = planned(*model.get(), 1);
    ASSERT_LT(least, most) << architecture;
    for (int step = 0; step < 6; ++step) {
      const uint64_t budget = least + (most - least) * static_cast<uint64_t>(step) / 6;
      EXPECT_LE(planned(*model.get(), budget), budget);
      const auto session = Session::open(model.get(), request_of(budget));
      ASSERT_TRUE(session.ok()) << session.status().what();
      EXPECT_GT((*session)->stream_statistics().bytes_per_pass, 0u);
      EXPECT_EQ(logits_of(**session), expected) << architecture << " at " << budget;
      // A pass out of order, as calibration does it, and back.
      (*session)->rewind(0);
      std::vector<float> hidden(5 * model.get()->hyper.width);
      ASSERT_TRUE((*session)->embed(std::span(kTokens).first(5), 0, hidden.data()).ok());
      ASSERT_TRUE((*session)->run_layers(2, 3, 0, 5, hidden.data()).ok());
      ASSERT_TRUE((*session)->run_layers(0, 1, 0, 5, hidden.data()).ok());
      (*session)->rewind(0);
      EXPECT_EQ(logits_of(**session), expected) << architecture << " again at " << budget;
    }
  }
}

// Token by token three of eight experts are met, and few others are read.
TEST(Streaming, ExpertsThatAreNotMetAreNotRead) {
  const TemporaryModel model({.architecture = "mixtral", .width = 256}, Type::F32);
  InferenceRequest request = request_of(1);
  request.batch = 1;
  const auto plan = plan_weights(*model.get(), request);
  const auto session = Session::open(model.get(), request);
  ASSERT_TRUE(plan.ok() && session.ok());
  for (const Token token : kTokens) ASSERT_TRUE((*session)->feed({&token, 1}).ok());
  const StreamStatistics statistics = (*session)->stream_statistics();
  const uint64_t passes = kTokens.size();
  EXPECT_LT(statistics.bytes_per_pass, plan->streamed_bytes() / 2);
  EXPECT_GE(statistics.bytes_read, passes * statistics.bytes_per_pass);
  // And what is read ahead of a pass that does not come.
  EXPECT_LE(statistics.bytes_read, (passes + 1) * statistics.bytes_per_pass);
}

TEST(Streaming, AHeldLayerIsReadOnce) {
  const TemporaryModel model({.architecture = "llama", .width = 256}, Type::F32);
  const auto session = Session::open(model.get(), request_of(planned(*model.get(), 1)));
  ASSERT_TRUE(session.ok());
  const uint32_t width = model.get()->hyper.width, n_layers = model.get()->hyper.n_layers;
  std::vector<float> once(5 * width), states(3 * once.size());
  ASSERT_TRUE((*session)->embed(std::span(kTokens).first(5), 0, once.data()).ok());
  for (size_t i = 0; i < states.size(); ++i) states[i] = once[i % once.size()];
  ASSERT_TRUE((*session)->run_layers(0, n_layers, 0, 5, once.data()).ok());
  const uint64_t before = (*session)->stream_statistics().bytes_read;
  for (uint32_t l = 0; l < n_layers; ++l) {
    ASSERT_TRUE((*session)->hold_layer(l).ok());
    for (size_t at = 0; at < states.size(); at += once.size())
      ASSERT_TRUE((*session)->run_layers(l, l + 1, 0, 5, states.data() + at).ok());
    (*session)->let_go();
  }
  for (size_t i = 0; i < states.size(); ++i) ASSERT_EQ(states[i], once[i % once.size()]);
  // Each layer once, and what was read ahead: of the pass before, and after the last layer.
  EXPECT_LE((*session)->stream_statistics().bytes_read - before,
            2 * (*session)->stream_statistics().bytes_per_pass);
}

TEST(Streaming, AReadThatFailsIsAnErrorNotACrash) {
  const TemporaryModel model({.architecture = "llama", .width = 256}, Type::Q8_0);
  const uint64_t least = planned(*model.get(), 1);
  int failures = 0;
  for (int nth = 1;; ++nth) {
    inject_fault(FaultPoint::kRead, nth);
    const auto session = Session::open(model.get(), request_of(least));
    Status status = session.status();
    if (status.ok()) status = (*session)->feed(kTokens).status();
    const bool struck = fault_point_count(FaultPoint::kRead) >= nth;
    inject_fault(FaultPoint::kRead, 0);
    if (!struck) break;
    // The thread that reads ahead may meet the fault after the last pass needed it.
    if (status.ok()) continue;
    EXPECT_EQ(status.code(), Code::kFailed) << status.what();
    EXPECT_NE(status.what().find("cannot read"), std::string::npos) << status.what();
    ++failures;
  }
  EXPECT_GT(failures, 20);
}

// Cut, grown or written over while it is in use: never numbers of two files in one answer.
TEST(Streaming, AFileThatIsChangedMeanwhileIsAnError) {
  const std::vector<std::function<void(const std::string&)>> changes = {
      [](const std::string& path) { std::filesystem::resize_file(path, 5000); },
      [](const std::string& path) { std::ofstream(path, std::ios::app) << "more"; },
      [](const std::string& path) {
        std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(4000) << "other";
      }};
  for (const auto& change : changes) {
    const TemporaryModel model({.architecture = "llama", .width = 256}, Type::Q8_0);
    const uint64_t least = planned(*model.get(), 1);
    const auto session = Session::open(model.get(), request_of(least));
    ASSERT_TRUE(session.ok());
    ASSERT_TRUE((*session)->feed(std::span(kTokens).first(5)).ok());
    change(model.get()->files.front()->path());
    Status status;
    for (int pass = 0; pass < 3 && status.ok(); ++pass)  // what was read ahead is still the old
      status = (*session)->feed(std::span(kTokens).subspan(5, 2)).status();
    EXPECT_EQ(status.code(), Code::kFailed);
    EXPECT_NE(status.what().find("was changed while it was in use"), std::string::npos)
        << status.what();
  }
}

// Of an embedding that is not the head, a row a token is in memory, also where nothing streams.
TEST(Streaming, AnEmbeddingThatIsNoHeadIsNotMapped) {
  const TemporaryModel model({.architecture = "llama", .width = 256}, Type::Q8_0);
  ASSERT_FALSE(model.get()->tied());
  const auto map = plan_inference(*model.get(), request_of(0));
  ASSERT_TRUE(map.ok());
  uint64_t weights = 0;
  for (const Tensor& tensor : model.get()->tensors) weights += tensor.bytes();
  EXPECT_EQ(map->find(owner::kWeights)->bytes, weights - model.get()->token_embedding->bytes());
  const auto session = Session::open(model.get(), request_of(0));
  ASSERT_TRUE(session.ok()) << session.status().what();
  std::vector<float> row(256), expected(256);
  ASSERT_TRUE((*session)->embed(std::span(kTokens).first(1), 0, row.data()).ok());
  find_codec(Type::Q8_0)
      ->decode(model.get()->token_embedding->row(10).data(), expected.data(), 256);
  EXPECT_EQ(row, expected);
}

}  // namespace
}  // namespace enxuto
