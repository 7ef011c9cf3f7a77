// Logits of tiny random models of each architecture against stock llama.cpp's (golden file, made by
// tools/golden_logits.py), whatever the passes in which the tokens come.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "infer/session.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

using nlohmann::json;

const json& golden() {
  static const json file = [] {
    std::ifstream in(ENXUTO_SOURCE_DIR "/tests/parity/testdata/logits.json");
    return json::parse(in);
  }();
  return file;
}

// Root mean square of the difference, relative to the spread of what is expected.
double relative_error(std::span<const float> logits, const std::vector<double>& expected) {
  double difference = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += (logits[i] - expected[i]) * (logits[i] - expected[i]);
    sum += expected[i], squares += expected[i] * expected[i];
  }
  const auto n = static_cast<double>(expected.size());
  return std::sqrt(difference / n) / std::sqrt(squares / n - sum / n * sum / n);
}

// Stock's own products round the activations to 8 bits for Q8_0, Q4_0 and Q6_K, to f16 for F16.
double tolerance(const std::string& type) {
  if (type == "F32") return 1e-3;
  return type == "F16" ? 3e-3 : 5e-2;
}

struct Case {
  const json& golden;
  std::string name() const {
    return golden["architecture"].get<std::string>() + "_" + golden["type"].get<std::string>();
  }
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name(); }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const json& each : golden()["cases"]) all.push_back({each});
  return all;
}

class Parity : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string type = GetParam().golden["type"];
    const Type number_format = find_codec(type)->type;
    holder_ = std::make_unique<TemporaryModel>(
        TinyOptions::of(GetParam().golden["architecture"], number_format), number_format);
    model_ = holder_->get();
    tokens_ = golden()["tokens"].get<std::vector<Token>>();
    positions_ = golden()["positions"].get<std::vector<size_t>>();
  }

  std::unique_ptr<Session> open(uint32_t batch, int n_threads = 1,
                                InputScales scales = InputScales::kOfLlamaCpp) {
    InferenceRequest request;
    request.context = 64;
    request.batch = batch;
    request.n_threads = n_threads;
    auto session = Session::open(model_, request);
    EXPECT_TRUE(session.ok()) << session.status().what();
    (*session)->set_input_scales(scales);
    return std::move(session).value();
  }

  // Feeds up to each golden position and compares there.
  void compare(Session& session, double slack = 1) {
    const double bound = slack * tolerance(GetParam().golden["type"]);
    for (size_t i = 0; i < positions_.size(); ++i) {
      const size_t from = session.n_tokens();
      auto logits = session.feed(std::span(tokens_).subspan(from, positions_[i] + 1 - from));
      ASSERT_TRUE(logits.ok()) << logits.status().what();
      const auto expected = GetParam().golden["logits"][i].get<std::vector<double>>();
      ASSERT_EQ(logits->size(), expected.size());
      EXPECT_LT(relative_error(*logits, expected), bound) << "at position " << positions_[i];
    }
  }

  std::unique_ptr<TemporaryModel> holder_;
  std::shared_ptr<const Model> model_;
  std::vector<Token> tokens_;
  std::vector<size_t> positions_;
};

TEST_P(Parity, InOnePass) { compare(*open(64)); }

// As `run` computes; the golden figures have the error of their coarser scales.
TEST_P(Parity, WithScalesAndTilesOfItsOwn) { compare(*open(64, 1, InputScales::kFine), 2.5); }

TEST_P(Parity, InManyPasses) {
  for (const uint32_t batch : {1, 3, 7}) {
    SCOPED_TRACE(batch);
    compare(*open(batch, batch == 3 ? 2 : 1));
  }
}

TEST_P(Parity, AfterRewind) {
  const auto session = open(5);
  const std::vector<Token> other = {9, 8, 7, 6, 5, 4, 3, 2};
  ASSERT_TRUE(session->feed(std::span(tokens_).first(6)).ok());
  ASSERT_TRUE(session->feed(other).ok());
  // Where a window slid past what token 6 sees, nothing is kept, and all is fed again.
  const uint32_t kept = session->rewind(6);
  EXPECT_TRUE(kept == 6 || (kept == 0 && model_->hyper.sliding_window)) << kept;
  compare(*session);
  EXPECT_EQ(session->rewind(0), 0u);
  compare(*session);
}

INSTANTIATE_TEST_SUITE_P(Stock, Parity, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name(); });

}  // namespace
}  // namespace enxuto
