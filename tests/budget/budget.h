// What tests of compress share: a model compressed into a folder of its own, and its answers.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "compress/compress.h"
#include "infer/session.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {

class CompressBudget : public testing::Test {
 protected:
  Result<CompressReport> run(const Model& model, uint64_t target, int n_threads = 2,
                             std::vector<Type> types = {}) {
    CompressRequest request;
    request.target_bytes = target;
    request.effort = Effort::kFast;  // in seconds
    request.types = std::move(types);
    request.n_threads = n_threads;
    request.replace_output = true;
    return compress(std::shared_ptr<const Model>(std::shared_ptr<void>(), &model), out(), request,
                    {});
  }
  std::string out() const { return folder_.path("out.gguf"); }
  bool is_empty() const { return folder_.names().empty(); }

  ScratchFolder folder_;
};

inline std::vector<float> logits_of(const std::shared_ptr<const Model>& model) {
  const std::vector<Token> tokens = {10, 200, 31, 4, 77, 123, 9, 250, 18, 66, 5, 101};
  InferenceRequest request;
  request.context = 32;
  const auto session = Session::open(model, request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  const auto logits = (*session)->feed(tokens);
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  return {logits->begin(), logits->end()};
}

// Of the root mean squares.
inline double relative_difference(const std::vector<float>& before,
                                  const std::vector<float>& after) {
  double difference = 0, energy = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    difference += (after[i] - before[i]) * (after[i] - before[i]);
    energy += before[i] * before[i];
  }
  return std::sqrt(difference / energy);
}

}  // namespace enxuto
