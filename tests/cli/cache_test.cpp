// Formats of the KV cache from outside: what plan proposes works, and -ctk auto keeps its word.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class Cache : public testing::Test {
 protected:
  void SetUp() override {  // heads of 32 numbers, which small formats can hold
    const TinyModel model = tiny_model({.architecture = "qwen3"});
    ASSERT_TRUE(write_tiny_gguf(model, Type::Q8_0, model_).ok());
  }
  Json plan(std::vector<std::string> more, int exit_code = 0) const {
    std::vector<std::string> arguments = {"plan", model_, "-c", "1024", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run_program(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error;
    return Json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  }
  static std::string bytes(const Json& json) { return std::to_string(json.get<uint64_t>()); }
  Outcome run(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"run", model_, "-p",     "the", "-n",    "12",
                                          "-c",  "1024", "--temp", "0",   "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf");
};

TEST_F(Cache, ARefusalProposesASmallerOneWhichFits) {
  const Json least = plan({"-b", "16", "--memory", "1"}, 4);
  const std::string budget = bytes(least["total_bytes"].get<uint64_t>() - 1);
  const std::vector<std::string> asked = {"-b", "16", "--memory", budget};
  const Outcome refused = run(asked);
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.error, HasSubstr("-ctk q8_0 -ctv q8_0 saves"));
  std::vector<std::string> proposed = asked;
  proposed.insert(proposed.end(), {"-ctk", "q8_0", "-ctv", "q8_0"});
  EXPECT_EQ(run(proposed).exit_code, 0);
}

TEST_F(Cache, PlanTellsTheBytesOfEachFormat) {
  const Json json = plan({});
  ASSERT_EQ(json["kv_choices"].size(), 3u);
  for (const Json& choice : json["kv_choices"]) {
    const std::string format = choice["kv"];
    EXPECT_EQ(choice["options"], "-ctk " + format + " -ctv " + format);
    EXPECT_FALSE(choice["measured"].get<bool>());
    const Json same = plan({"-ctk", format, "-ctv", format});
    EXPECT_EQ(choice["total_bytes"], same["total_bytes"]) << format;
    for (const Json& part : same["parts"])
      if (part["owner"] == "KV cache") {
        EXPECT_EQ(choice["bytes"], part["bytes"]) << format;
      }
  }
}

TEST_F(Cache, PlanMeasuresOnTheModelItself) {
  const Json json = plan({"--measure"});
  const Json& measured = json["kv_measured"];
  ASSERT_EQ(measured["layers"].size(), 3u);
  EXPECT_EQ(measured["chosen"], "-ctk f16 -ctv f16");
  EXPECT_EQ(measured["chosen_kld"], 0.0);
  ASSERT_EQ(measured["caches"].size(), 2u);
  EXPECT_GT(measured["caches"][0]["kld_mean"], 0.0);
  EXPECT_LT(measured["caches"][0]["kld_mean"], measured["caches"][1]["kld_mean"]);
  for (const size_t i : {1u, 2u}) {
    EXPECT_TRUE(json["kv_choices"][i]["measured"].get<bool>());
    EXPECT_EQ(json["kv_choices"][i]["expected_kld"], measured["caches"][i - 1]["kld_mean"]);
  }
  EXPECT_EQ(run_program({"plan", model_, "--measure", "--for", "eval"}).exit_code, 2);
}

TEST_F(Cache, AutoChoosesWhatFitsWithoutStreamingAndSaysIt) {
  const Json small = plan({"-ctk", "q8_0", "-ctv", "q8_0"}), large = plan({});
  const std::string budget =
      bytes((small["total_bytes"].get<uint64_t>() + large["total_bytes"].get<uint64_t>()) / 2);
  const Outcome chosen = run({"--memory", budget, "-ctk", "auto", "-ctv", "auto"});
  ASSERT_EQ(chosen.exit_code, 0) << chosen.error;
  EXPECT_THAT(chosen.error, HasSubstr("the KV cache is kept by -ctk "));
  EXPECT_EQ(Json::parse(chosen.out)["streamed_bytes_per_pass"], 0);
  const Json planned = plan({"--memory", budget, "-ctk", "auto", "-ctv", "auto"});
  const std::string options = planned["kv_measured"]["chosen"];
  EXPECT_THAT(chosen.error, HasSubstr(options));
  EXPECT_LE(planned["total_bytes"].get<uint64_t>(), planned["memory_bytes"].get<uint64_t>());
  EXPECT_EQ(planned["streamed_bytes_per_pass"], 0);
}

TEST_F(Cache, AutoMeasuresNothingWhereF16FitsAndIsNotForEval) {
  const Outcome plain = run({}), automatic = run({"-ctk", "auto", "-ctv", "auto"});
  EXPECT_EQ(automatic.exit_code, 0);
  EXPECT_EQ(automatic.error, "");
  EXPECT_EQ(Json::parse(plain.out)["text"], Json::parse(automatic.out)["text"]);
  const std::string text = scratch_.write("text.txt", sample_text(6000));
  EXPECT_EQ(run_program({"eval", model_, text, "-ctk", "auto"}).exit_code, 2);
}

}  // namespace
}  // namespace enxuto
