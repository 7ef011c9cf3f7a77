// prune, from outside: sizes obeyed, files whole or absent, errors that help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

class Prune : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_llama(model_);
    scratch_.write("notes.txt", sample_text(3000));
  }
  std::vector<std::string> arguments(std::vector<std::string> more) const {
    std::vector<std::string> all = {"prune",         model_, "-o",       lean_,
                                    "--calibration", notes_, "--effort", "fast"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void expect_nothing_left() const {
    EXPECT_THAT(scratch_.names(), ElementsAre("notes.txt", "tiny.gguf"));
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf"), lean_ = scratch_.path("lean.gguf"),
              notes_ = scratch_.path("notes.txt");
};

TEST_F(Prune, WritesASmallerModelThatRuns) {
  const Outcome outcome = run_program(arguments({"--remove", "0.3", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["file_bytes"], size_of(lean_));
  EXPECT_EQ(json["input_bytes"], size_of(model_));
  EXPECT_LE(json["layer_bytes"].get<double>(), 0.7 * json["input_layer_bytes"].get<double>());
  EXPECT_EQ(json["layers"].size(), 2u);
  EXPECT_GT(json["kld"], 0.0);
  EXPECT_EQ(run_program({"run", lean_, "-p", "the", "-n", "4"}).exit_code, 0);
  EXPECT_EQ(run_program({"inspect", lean_}).exit_code, 0);
  EXPECT_EQ(run_program(arguments({"--remove", "0.3"})).exit_code, 2) << "it exists";
  const Outcome again = run_program(arguments({"--remove", "0.4", "--force"}));
  EXPECT_EQ(again.exit_code, 0) << again.error;
  EXPECT_THAT(again.out, HasSubstr("KL divergence"));
}

TEST_F(Prune, LearnsFromTheWholeModel) {
  scratch_.write("notes.txt", sample_text(20000));
  const auto how = [&](const std::string& recover) {
    return arguments({"--remove", "0.3", "--recover", recover, "--json", "--force"});
  };
  const Outcome local = run_program(how("local"));
  ASSERT_EQ(local.exit_code, 0) << local.error;
  const uint64_t bytes = size_of(lean_);
  const Outcome outcome = run_program(how("distill"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out), learned = json["distilled"];
  EXPECT_EQ(size_of(lean_), bytes) << "no larger, and in the same formats";
  EXPECT_EQ(learned["learned"], "weights");
  EXPECT_TRUE(learned["kept"]);
  EXPECT_LT(learned["kld"], 0.9 * learned["kld_before"].get<double>());
  EXPECT_EQ(scratch_.names().size(), 3u) << "nothing else is left";
  EXPECT_EQ(run_program({"run", lean_, "-p", "the", "-n", "4"}).exit_code, 0);
}

TEST_F(Prune, SaysWhatCannotLearn) {
  const auto recover = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--recover", "distill"});
    return run_program(arguments(more));
  };
  scratch_.write("notes.txt", sample_text(300));
  Outcome outcome = recover({"--remove", "0.3"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("too few to learn from"));
  outcome = recover({"--what", "vocabulary"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("--recover local"));
  expect_nothing_left();
}

TEST_F(Prune, ReachesASizeAndASpeed) {
  const uint64_t size = size_of(model_) * 8 / 10;
  ASSERT_EQ(run_program(arguments({"--size", std::to_string(size)})).exit_code, 0);
  EXPECT_LE(size_of(lean_), size);
  const Outcome outcome = run_program(arguments({"--speedup", "1.2", "--force", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_GE(json["input_token_bytes"].get<double>(), 1.2 * json["token_bytes"].get<double>());
}

TEST_F(Prune, IsPlannedAsItIsDone) {
  const Outcome plan =
      run_program({"plan", model_, "--for", "prune", "--effort", "fast", "-t", "2", "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.error;
  const Outcome outcome = run_program(arguments({"--remove", "0.2", "-t", "2", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Json::parse(plan.out)["total_bytes"], Json::parse(outcome.out)["planned_bytes"]);
}

TEST_F(Prune, CutsTheVocabularyToTheText) {
  const Outcome outcome =
      run_program(arguments({"--what", "vocabulary", "--remove", "0.05", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_LT(json["tokens"], 288);
  EXPECT_EQ(json["architecture"], "llama");
  const Outcome answer = run_program({"eval", lean_, notes_, "-c", "64", "--json"});
  ASSERT_EQ(answer.exit_code, 0) << answer.error;
  EXPECT_GT(Json::parse(answer.out)["bits_per_byte"], 0.0);
}

// What is written without its zeros goes everywhere that a model goes.
TEST_F(Prune, WritesNoZeros) {
  const Outcome outcome =
      run_program(arguments({"--what", "weights", "--pattern", "16:32", "--sparse", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["file_bytes"], size_of(lean_));
  EXPECT_LT(json["layer_bytes"].get<double>(), json["input_layer_bytes"].get<double>());
  for (const Json& kind : json["masked"]["kinds"])
    EXPECT_LT(kind["bytes"].get<double>(), kind["input_bytes"].get<double>());
  EXPECT_EQ(run_program({"run", lean_, "-p", "the", "-n", "4"}).exit_code, 0);
  EXPECT_THAT(run_program({"inspect", lean_}).out, HasSubstr("SF16"));
  EXPECT_EQ(run_program({"plan", lean_, "--memory", "1GB"}).exit_code, 0);
  EXPECT_EQ(run_program({"eval", lean_, notes_, "-c", "64"}).exit_code, 0);
  EXPECT_EQ(run_program({"bench", lean_, "--prefill", "8", "--decode", "2"}).exit_code, 0);
  const std::string coded = scratch_.path("coded.gguf");
  const Outcome smaller =
      run_program({"compress", lean_, "-o", coded, "--bpw", "6", "--calibration", notes_,
                   "--effort", "fast", "--types", "SF16,SQ8_0,SQ4_NL,Q8_0"});
  EXPECT_EQ(smaller.exit_code, 0) << smaller.error;
  EXPECT_EQ(run_program({"run", coded, "-p", "the", "-n", "4"}).exit_code, 0);
}

TEST_F(Prune, SaysWhatIsWrong) {
  struct Case {
    std::vector<std::string> more;
    int exit_code;
    const char* says;
  };
  for (const auto& [more, exit_code, says] :
       std::vector<Case>{{{}, 2, "how much has to go is not said"},
                         {{"--remove", "0.2", "--speedup", "2"}, 2, "more than one way"},
                         {{"--remove", "0"}, 2, "not a number from"},
                         {{"--remove", "1"}, 2, "not a number from"},
                         {{"--remove", "1.5"}, 2, "not a number from"},
                         {{"--remove", "nan"}, 2, "not a number from"},
                         {{"--remove", "0.99"}, 4, "the least they can be"},
                         {{"--what", "blocks", "--remove", "0.9"}, 4, "not even one block"},
                         {{"--what", "experts", "--remove", "0.2"}, 2, "this model has no experts"},
                         {{"--what", "weights", "--remove", "0.2", "--sparse"}, 2, "16 of each 32"},
                         {{"--remove", "0.2", "--sparse"}, 2, "--what weights"},
                         {{"--remove", "0.2", "--owl"}, 2, "--what weights"},
                         {{"--what", "weights", "--pattern", "2:4", "--owl"}, 2, "--remove"},
                         {{"--size", "1000"}, 4, "embedding"},
                         {{"--size", "1GB"}, 2, "nothing has to go"},
                         {{"--speedup", "100"}, 4, "the least they can be"},
                         {{"--remove", "0.2", "--memory", "1MiB"}, 4, "--memory"}}) {
    const Outcome outcome = run_program(arguments(more));
    EXPECT_EQ(outcome.exit_code, exit_code) << says << ": " << outcome.error;
    EXPECT_THAT(outcome.error, HasSubstr(says));
    expect_nothing_left();
  }
  const Outcome same = run_program({"prune", model_, "-o", model_, "--remove", "0.2", "--force"});
  EXPECT_EQ(same.exit_code, 2);
  EXPECT_THAT(same.error, HasSubstr("the input itself"));
}

TEST_F(Prune, LeavesNothingOnAFullDisk) {
  Invocation full{arguments({"--remove", "0.2"})};
  full.most_file_bytes = size_of(model_) / 3;
  const Outcome outcome = run_program(full);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.error;
  expect_nothing_left();
}

}  // namespace
}  // namespace enxuto
