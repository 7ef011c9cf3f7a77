// What callers rely on of a session, on tiny models.
#include "infer/session.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <fstream>
#include <set>

#include "base/float16.h"
#include "platform/faults.h"
#include "platform/interrupt.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

const std::vector<Token> kTokens = {10, 200, 31, 4, 77, 123, 9, 250, 18, 66, 5, 101};

InferenceRequest small_request() {
  InferenceRequest request;
  request.context = 32;
  request.batch = 5;
  return request;
}

std::unique_ptr<Session> open(const std::shared_ptr<const Model>& model,
                              const InferenceRequest& request = small_request()) {
  auto session = Session::open(model, request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  return std::move(session).value();
}

std::vector<float> logits_of(Session& session, std::span<const Token> tokens) {
  auto logits = session.feed(tokens);
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  return {logits->begin(), logits->end()};
}

TEST(Session, IsTheSameForAnyNumberOfThreads) {
  const TemporaryModel model({.architecture = "qwen3"}, Type::Q8_0);
  const auto one = logits_of(*open(model.get()), kTokens);
  for (const int n_threads : {2, 5}) {
    InferenceRequest request = small_request();
    request.n_threads = n_threads;
    EXPECT_EQ(logits_of(*open(model.get(), request), kTokens), one);
  }
}

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, energy = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference += (a[i] - b[i]) * (a[i] - b[i]), energy += b[i] * b[i];
  return std::sqrt(difference / energy);
}

// In passes of five tokens, over windows that slide, and again after a rewind.
TEST(Session, AnswersAlikeWithASmallerCache) {
  for (const char* architecture : {"qwen3", "gemma3", "deci", "gpt2"}) {
    const TemporaryModel model({.architecture = architecture}, Type::F32);
    ASSERT_EQ(model.get()->hyper.key_dim, 32u);
    const auto exact = logits_of(*open(model.get()), kTokens);
    for (const auto& [type, distance] : {std::pair(Type::Q8_0, 0.02), std::pair(Type::Q4_0, 0.2)}) {
      InferenceRequest request = small_request();
      request.kv = {{type, type}};
      const auto session = open(model.get(), request);
      const auto first = logits_of(*session, kTokens);
      EXPECT_LT(relative_distance(first, exact), distance) << architecture;
      EXPECT_NE(first, exact) << architecture;
      const uint32_t held = session->rewind(10);
      EXPECT_EQ(logits_of(*session, std::span(kTokens).subspan(held)), first) << architecture;
    }
  }
}

TEST(Session, SaysThatTheContextIsFull) {
  const TemporaryModel model(TinyOptions{}, Type::F32);
  const auto session = open(model.get());
  const std::vector<Token> many(30, 7);
  logits_of(*session, many);
  const Status full = session->feed(kTokens).status();
  EXPECT_EQ(full.code(), Code::kDoesNotFit);
  EXPECT_NE(full.what().find("context of 32"), std::string::npos) << full.what();
  EXPECT_EQ(session->n_tokens(), 30u);
  EXPECT_EQ(session->rewind(12), 12u);
  logits_of(*session, kTokens);
  EXPECT_EQ(session->n_tokens(), 24u);
  EXPECT_EQ(session->rewind(100), 24u);
}

TEST(Session, KnowsNoMorePositionsThanItsModel) {
  const TemporaryModel model({.architecture = "gpt2"}, Type::F32);
  InferenceRequest request = small_request();
  request.context = 257;
  const Status status = Session::open(model.get(), request).status();
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.todo().find("at most 256"), std::string::npos) << status.todo();
  request.context = 256;
  EXPECT_TRUE(Session::open(model.get(), request).ok());
}

TEST(Session, RefusesTokensThatTheModelDoesNotHave) {
  const TemporaryModel model(TinyOptions{}, Type::F32);
  const auto session = open(model.get());
  for (const Token token : {-1, 288, INT32_MAX})
    EXPECT_EQ(session->feed(std::vector<Token>{1, token}).status().code(), Code::kBadInput);
  EXPECT_EQ(session->feed({}).status().code(), Code::kUsage);
  EXPECT_EQ(session->n_tokens(), 0u);
}

void overwrite(const std::string& path, ptrdiff_t at, const void* bytes, size_t n) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at).write(static_cast<const char*>(bytes), static_cast<std::streamsize>(n));
}

// 8-bit activations, clamps and maxima would like to swallow a NaN: none does, wherever it is.
TEST(Session, NamesTheTensorThatHoldsNoNumbers) {
  for (const char* architecture :
       {"llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2", "mixtral", "qwen2moe"}) {
    const TemporaryModel sound({.architecture = architecture}, Type::Q8_0);
    const MappedFile& file = *sound.get()->files[0];
    for (const Tensor& tensor : sound.get()->tensors) {
      if (tensor.name.starts_with("blk.") && !tensor.name.starts_with("blk.1.")) continue;
      // The first value, or the scale of the first block, of row 4: one of the tokens fed.
      const uint8_t* place = tensor.data.data() + (tensor.rows() > 4 ? 4 * tensor.row_bytes() : 0);
      for (const float damage : {NAN, -INFINITY}) {
        const uint16_t half = f32_to_f16(damage);
        const bool scale = tensor.type == Type::Q8_0;
        const size_t n = scale ? sizeof half : sizeof damage;
        const std::vector<uint8_t> before(place, place + n);
        const ptrdiff_t at = place - file.bytes().data();
        overwrite(file.path(), at, scale ? static_cast<const void*>(&half) : &damage, n);
        const auto damaged = open_model(file.path());
        ASSERT_TRUE(damaged.ok()) << damaged.status().what();
        const auto session = Session::open(*damaged, small_request());
        const Status status = session.ok() ? (*session)->feed(kTokens).status() : session.status();
        EXPECT_EQ(status.code(), Code::kBadInput) << architecture << " " << tensor.name;
        EXPECT_NE(status.what().find(tensor.name + " "), std::string::npos)
            << tensor.name << ": " << status.what();
        overwrite(file.path(), at, before.data(), n);
      }
    }
  }
}

TEST(Session, StopsBetweenPassesWhenInterrupted) {
  const TemporaryModel model(TinyOptions{}, Type::F32);
  const auto session = open(model.get());
  install_interrupt_handler();
  raise(SIGINT);
  EXPECT_EQ(session->feed(kTokens).status().code(), Code::kInterrupted);
  clear_interrupt();
  EXPECT_TRUE(session->feed(kTokens).ok());
}

TEST(Session, OpensInsideItsPlanOrSaysWhatDoesNotFit) {
  const TemporaryModel model({.architecture = "gemma3"}, Type::Q4_0);
  inject_fault(FaultPoint::kAllocation, 0);
  open(model.get());
  const int64_t allocations = fault_point_count(FaultPoint::kAllocation);
  ASSERT_GE(allocations, 3);  // cache, activations, logits
  for (int64_t nth = 1; nth <= allocations; ++nth) {
    inject_fault(FaultPoint::kAllocation, nth);
    EXPECT_EQ(Session::open(model.get(), small_request()).status().code(), Code::kDoesNotFit);
  }
  inject_fault(FaultPoint::kAllocation, 0);
}

TEST(Session, StepsMakeTheWhole) {
  const TemporaryModel model({.architecture = "gemma3"}, Type::F32);
  const auto whole = open(model.get()), steps = open(model.get());
  const auto expected = logits_of(*whole, std::span(kTokens).first(5));
  float* hidden = steps->hidden_buffer();
  ASSERT_TRUE(steps->embed(std::span(kTokens).first(5), 0, hidden).ok());
  for (uint32_t l = 0; l < model.get()->hyper.n_layers; ++l)
    ASSERT_TRUE(steps->run_layers(l, l + 1, 0, 5, hidden).ok());
  std::vector<float> logits(expected.size());
  ASSERT_TRUE(steps->logits(hidden + 4 * model.get()->hyper.width, 1, logits.data()).ok());
  EXPECT_EQ(logits, expected);
}

TEST(Hooks, TellTheInputOfEachLinearLayer) {
  const TemporaryModel model({.architecture = "qwen2"}, Type::F32);
  const auto session = open(model.get());
  std::multiset<std::string> told;
  ForwardHooks hooks;
  hooks.on_linear_input = [&](const Tensor& tensor, const float* x, int64_t stride, int64_t n) {
    told.insert(tensor.name);
    EXPECT_EQ(n, tensor.name == "token_embd.weight" ? 1 : 5);
    EXPECT_GE(stride, static_cast<int64_t>(tensor.columns()));
    for (int64_t t = 0; t < n; ++t)
      for (uint64_t i = 0; i < tensor.columns(); ++i)
        ASSERT_TRUE(std::isfinite(x[t * stride + static_cast<int64_t>(i)]));
  };
  session->set_hooks(hooks);
  logits_of(*session, std::span(kTokens).first(5));
  size_t matrices = 0;
  for (const Tensor& tensor : model.get()->tensors)
    if (tensor.n_dims == 2) {
      ++matrices;
      EXPECT_EQ(told.count(tensor.name), 1u) << tensor.name;
    }
  EXPECT_EQ(told.size(), matrices);
}

// A replaced matrix answers as a model that has that matrix in its file; tied embeddings too.
TEST(Hooks, PutAnotherMatrixInAPlace) {
  for (const std::string name : {"blk.2.attn_k.weight", "token_embd.weight"}) {
    TinyModel changed = tiny_model({.architecture = "qwen2"});
    for (float& value : changed.find(name)->values) value *= 0.5f;
    const TemporaryModel own({.architecture = "qwen2"}, Type::F32), other(changed, Type::F32);
    const Tensor& tensor = *other.get()->find(name);
    const MatrixView view = {tensor.type, tensor.data.data(), static_cast<int64_t>(tensor.rows()),
                             static_cast<int64_t>(tensor.columns()), tensor.row_bytes()};
    ForwardHooks hooks;
    hooks.replacement = [&](const Tensor& t) { return t.name == name ? &view : nullptr; };
    const auto session = open(own.get());
    const auto before = logits_of(*session, kTokens);
    session->set_hooks(hooks);
    session->rewind(0);
    const auto replaced = logits_of(*session, kTokens);
    EXPECT_NE(replaced, before);
    EXPECT_EQ(replaced, logits_of(*open(other.get()), kTokens));
  }
}

}  // namespace
}  // namespace enxuto
