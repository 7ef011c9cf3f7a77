// train, from outside: models that learn and run, interruptions that cost nothing, errors that
// help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/gguf.h"
#include "inputs.h"
#include "json_lines.h"
#include "models/model.h"
#include "program.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class Train : public testing::Test {
 protected:
  void SetUp() override { scratch_.write("notes.txt", sample_text(6000)); }
  // A new model of 50,000 parameters; options that are given replace those.
  std::vector<std::string> arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"train", "-o", own_, "-t", "2", "--json"};
    const std::pair<std::string, std::string> defaults[] = {
        {"--data", notes_},   {"--tokenizer", "bytes"}, {"--layers", "2"},
        {"--width", "64"},    {"--heads", "2"},         {"-c", "32"},
        {"--batch-size", "4"}};
    for (const auto& [option, value] : defaults)
      if (std::ranges::find(more, option) == more.end()) all.insert(all.end(), {option, value});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string file(const std::string& name) const { return own_ + ".training/" + name; }
  std::vector<Json> metrics() const { return metrics_of(own_); }

  ScratchFolder scratch_;
  std::string notes_ = scratch_.path("notes.txt"), own_ = scratch_.path("own.gguf"),
              model_ = scratch_.path("tiny.gguf");
};

TEST_F(Train, MakesAModelThatLearnedAndRuns) {
  const Outcome outcome = run_program(arguments({"--steps", "40", "--sample", "the"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["steps"], 40);
  EXPECT_EQ(json["data"]["documents"], 1);
  EXPECT_EQ(json["data"]["bytes"], size_of(notes_));
  EXPECT_GT(json["planned_bytes"], 0);
  const auto lines = metrics();
  ASSERT_EQ(lines.size(), 40u);
  EXPECT_LT(lines.back()["loss"], lines.front()["loss"].get<double>() - 1);
  EXPECT_NEAR(lines.back()["validation_loss"], json["validation_loss"].get<double>(), 1e-9);
  EXPECT_EQ(run_program({"run", own_, "-p", "the", "-n", "4"}).exit_code, 0);
  const Json inspected = Json::parse(run_program({"inspect", own_, "--json"}).out);
  EXPECT_EQ(inspected["parameters"], json["parameters"]);
}

TEST_F(Train, TrainsAModelFurther) {
  for (const char* architecture : {"llama", "qwen2moe"}) {
    SCOPED_TRACE(architecture);
    ASSERT_TRUE(
        write_tiny_gguf(tiny_model({.architecture = architecture}), Type::F16, model_).ok());
    const Outcome outcome = run_program(
        {"train",       model_,         "--data",    notes_,    "-o",     own_,     "-c",
         "32",          "--batch-size", "4",         "--steps", "20",     "--lr",   "0.001",
         "--optimizer", "adamw8",       "--weights", "bf16",    "--json", "--force"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    const auto lines = metrics();
    EXPECT_LT(lines.back()["loss"], lines.front()["loss"].get<double>() - 0.5);
    const auto tuned = open_model(own_);
    ASSERT_TRUE(tuned.ok());
    EXPECT_EQ((*tuned)->metadata.unsigned_at("general.file_type"), 32u) << "llama.cpp's for BF16";
    EXPECT_EQ(run_program({"run", own_, "-p", "the", "-n", "4"}).exit_code, 0);
  }
}

TEST_F(Train, MakesMixturesOfExperts) {
  const std::pair<std::string, std::vector<std::string>> kinds[] = {
      {"llama", {"--experts", "4"}},
      {"qwen2moe", {"--experts", "4", "--experts-used", "3"}},
      {"qwen3moe", {}}};
  for (const auto& [architecture, counts] : kinds) {
    SCOPED_TRACE(architecture);
    std::vector<std::string> run =
        arguments({"--steps", "40", "--architecture", architecture, "--force"});
    run.insert(run.end(), counts.begin(), counts.end());
    const Outcome outcome = run_program(run);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    const auto lines = metrics();
    EXPECT_LT(lines.back()["loss"], lines.front()["loss"].get<double>() - 1);
    EXPECT_EQ(run_program({"run", own_, "-p", "the", "-n", "4"}).exit_code, 0);
    const Json inspected = Json::parse(run_program({"inspect", own_, "--json"}).out);
    EXPECT_EQ(inspected["architecture"], architecture);
    EXPECT_EQ(inspected["parameters"], Json::parse(outcome.out)["parameters"]);
  }
}

// As a run that lost all after its last checkpoint.
class TrainResumed : public Train, public testing::WithParamInterface<const char*> {};

TEST_P(TrainResumed, GoesOnToTheSameModelBitForBit) {
  const auto run = arguments({"--steps", "9", "--save-every", "3", "--keep", "9", "--optimizer",
                              GetParam(), "--weights", "bf16"});
  ASSERT_EQ(run_program(run).exit_code, 0);
  const std::string whole = read_whole(own_);
  const auto steps = metrics();
  for (const char* later : {"step-0000000006.gguf", "step-0000000009.gguf"})
    std::filesystem::remove(file(later));
  auto resumed = run;
  resumed.push_back("--resume");
  const Outcome outcome = run_program(resumed);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(read_whole(own_), whole);
  const auto again = metrics();
  ASSERT_EQ(again.size(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(again[i]["loss"], steps[i]["loss"]) << i;
}

INSTANTIATE_TEST_SUITE_P(Optimizers, TrainResumed, testing::Values("adamw8", "apollo"));

TEST_F(Train, AnInterruptionSavesTheStepItIsAt) {
  const auto run = arguments({"--steps", "100000"});
  Invocation invocation{run};
  invocation.interrupt_when = [this] { return read_whole(file("metrics.jsonl")).size() > 100; };
  EXPECT_EQ(run_program(invocation).exit_code, 130);
  EXPECT_FALSE(std::filesystem::exists(own_));
  const auto steps = metrics().size();
  ASSERT_GT(steps, 0u);
  auto resumed = arguments({"--steps", std::to_string(steps + 2), "--resume"});
  const Outcome outcome = run_program(resumed);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(metrics().size(), steps + 2);
}

TEST_F(Train, KeepsAsManyCheckpointsAsAsked) {
  ASSERT_EQ(run_program(arguments({"--steps", "6", "--save-every", "1", "--keep", "3"})).exit_code,
            0);
  EXPECT_FALSE(std::filesystem::exists(file("step-0000000003.gguf")));
  for (const char* kept : {"step-0000000004.gguf", "step-0000000005.gguf", "step-0000000006.gguf"})
    EXPECT_TRUE(std::filesystem::exists(file(kept))) << kept;
}

TEST_F(Train, EndsWhenNothingGetsBetter) {
  const Outcome outcome =
      run_program(arguments({"--steps", "400", "--lr", "3", "--clip", "0", "--warmup", "0",
                             "--patience", "1", "--validation", "0.1"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["ended_early"], true);
  EXPECT_LT(json["steps"], 400);
  EXPECT_EQ(json["written_step"], json["best_step"]);
}

TEST_F(Train, PatienceKeepsTheBestAlsoAtTheEnd) {
  const Outcome outcome = run_program(
      arguments({"--steps", "120", "--lr", "3", "--clip", "0", "--warmup", "0", "--schedule",
                 "constant", "--weights", "bf16", "--patience", "1000", "--validation", "0.1"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["steps"], 120);
  ASSERT_LT(json["best_step"], 120) << "too good to be a test";
  EXPECT_EQ(json["written_step"], json["best_step"]);
  const auto written = open_gguf(own_), best = open_gguf(file("best.gguf")),
             last = open_gguf(file("step-0000000120.gguf"));
  ASSERT_TRUE(written.ok() && best.ok() && last.ok());
  const std::string name = "blk.0.attn_q.weight";
  const auto bytes_in = [&](const GgufFile& in) {
    const ByteView data = in.find(name)->data;
    return std::vector<uint8_t>(data.begin(), data.end());
  };
  EXPECT_EQ(bytes_in(*written), bytes_in(*best));
  EXPECT_NE(bytes_in(*written), bytes_in(*last));
}

TEST_F(Train, IsPlannedAsItIsDone) {
  write_tiny_llama(model_);
  const Outcome plan = run_program({"plan", model_, "--for", "train", "-c", "32", "--batch-size",
                                    "4", "--memory", "200MiB", "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.error;
  const Outcome outcome =
      run_program({"train", model_, "--data", notes_, "-o", own_, "-c", "32", "--batch-size", "4",
                   "--steps", "2", "--memory", "200MiB", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Json::parse(plan.out)["total_bytes"], Json::parse(outcome.out)["planned_bytes"]);
}

TEST_F(Train, AnAdapterLearnsAndGoesOnBitForBit) {
  write_tiny_llama(model_);
  const std::vector<std::string> run = {
      "train", model_,         "--lora", "--rank",       "4", "--data", notes_, "-o",
      own_,    "-c",           "32",     "--batch-size", "4", "--lr",   "0.01", "--steps",
      "12",    "--save-every", "6",      "--keep",       "9", "--json"};
  const Outcome outcome = run_program(run);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const std::string whole = read_whole(own_);
  EXPECT_LT(metrics().back()["loss"], metrics().front()["loss"].get<double>());
  EXPECT_EQ(run_program({"run", model_, "--lora", own_, "-p", "the", "-n", "4"}).exit_code, 0);
  std::filesystem::remove(file("step-0000000012.gguf"));
  auto resumed = run;
  resumed.push_back("--resume");
  ASSERT_EQ(run_program(resumed).exit_code, 0);
  EXPECT_EQ(read_whole(own_), whole);
}

// The teacher: a tiny model. The student: the same, trained away from it.
class TrainWithTeacher : public Train {
 protected:
  void SetUp() override {
    Train::SetUp();
    write_tiny_llama(model_);
    const Outcome away = run_program({"train", model_, "--data", notes_, "-o", student_, "-c", "32",
                                      "--batch-size", "4", "--steps", "6", "--lr", "0.003"});
    ASSERT_EQ(away.exit_code, 0) << away.error;
  }
  std::vector<std::string> learning(std::vector<std::string> more) const {
    std::vector<std::string> all = {"train", student_, "--teacher",    model_, "--data",
                                    notes_,  "-o",     own_,           "-c",   "32",
                                    "--lr",  "0.003",  "--batch-size", "4",    "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string student_ = scratch_.path("student.gguf");
};

TEST_F(TrainWithTeacher, ComesNearerToIt) {
  const Outcome outcome = run_program(learning({"--steps", "20", "--memory", "200MiB"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  const auto lines = metrics();
  EXPECT_LT(json["kld"], 0.7 * lines.front()["kld"].get<double>());
  EXPECT_NEAR(json["validation_kld"], lines.back()["validation_kld"].get<double>(), 1e-9);
  const auto plan = run_program({"plan", student_, "--for", "train", "--teacher", model_, "-c",
                                 "32", "--batch-size", "4", "--memory", "200MiB", "--json"});
  EXPECT_EQ(Json::parse(plan.out)["total_bytes"], json["planned_bytes"]) << plan.error;
  EXPECT_GT(Json::parse(plan.out)["teacher_bytes"], 0);
}

TEST_F(TrainWithTeacher, GoesOnBitForBitByWhatItSaid) {
  const auto run =
      learning({"--steps", "60", "--save-every", "50", "--keep", "9"});  // more than an epoch
  ASSERT_EQ(run_program(run).exit_code, 0);
  const std::string whole = read_whole(own_);
  const auto made = std::filesystem::last_write_time(file("teacher.bin"));
  std::filesystem::remove(file("step-0000000060.gguf"));
  auto resumed = run;
  resumed.push_back("--resume");
  ASSERT_EQ(run_program(resumed).exit_code, 0);
  EXPECT_EQ(read_whole(own_), whole);
  EXPECT_EQ(std::filesystem::last_write_time(file("teacher.bin")), made) << "it is asked once";
  std::filesystem::resize_file(file("teacher.bin"), 100);
  std::filesystem::remove(file("step-0000000060.gguf"));
  ASSERT_EQ(run_program(resumed).exit_code, 0) << "and again where that is lost";
  EXPECT_EQ(read_whole(own_), whole);
}

TEST_F(TrainWithTeacher, AnAdapterLearnsToo) {
  const Outcome outcome =
      run_program(learning({"--steps", "15", "--lora", "--teacher-weight", "1"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_LT(Json::parse(outcome.out)["kld"], 0.9 * metrics().front()["kld"].get<double>());
}

TEST_F(TrainWithTeacher, SaysWhatIsWrong) {
  const std::string other = scratch_.path("other.gguf");
  ASSERT_EQ(run_program({"train", "--data", notes_, "-o", other, "--tokenizer", "bytes", "--layers",
                         "1", "--width", "64", "--heads", "2", "-c", "32", "--steps", "1"})
                .exit_code,
            0);
  const auto with = [&](const std::string& model, const std::string& teacher) {
    return std::vector<std::string>{"train", model, "--teacher", teacher, "--data",  notes_,
                                    "-o",    own_,  "-c",        "32",    "--steps", "1"};
  };
  Outcome outcome = run_program(with(student_, other));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.error, HasSubstr("the teacher's vocabulary"));
  outcome = run_program(arguments({"--steps", "1", "--teacher", model_}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("name a MODEL with the teacher's tokens"));
  outcome = run_program(with(student_, notes_));
  EXPECT_EQ(outcome.exit_code, 3) << outcome.error;
  Invocation full{with(student_, model_)};
  full.most_file_bytes = 50 * 1024;  // of the teacher's file
  EXPECT_EQ(run_program(full).exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(file("teacher.bin")));
}

TEST_F(Train, LearnsAnswersOnly) {
  std::string lines;
  for (int i = 0; i < 60; ++i)
    lines += R"({"prompt": "What comes after )" + std::to_string(i) + R"(?", "completion": ")" +
             std::to_string(i + 1) + "\"}\n";
  lines += "no json\n\n";
  const std::string pairs = scratch_.path("pairs.jsonl");
  scratch_.write("pairs.jsonl", lines);
  const Outcome outcome = run_program(arguments({"--steps", "3", "--data", pairs}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json data = Json::parse(outcome.out)["data"];
  EXPECT_EQ(data["documents"], 60);
  EXPECT_EQ(data["corrupt"], 1);
  EXPECT_EQ(data["empty"], 1);
  EXPECT_LT(data["learned_tokens"], data["tokens"].get<int>() / 3);
}

TEST_F(Train, SaysWhatIsWrong) {
  write_tiny_llama(model_);
  scratch_.write("empty.txt", "");
  scratch_.write("short.txt", "a few words");
  struct Wrong {
    std::vector<std::string> arguments;
    int code;
    std::string says;
  };
  const auto with = [&](std::vector<std::string> more) { return arguments(std::move(more)); };
  const auto data = [&](const std::string& path) {
    return arguments({"--steps", "2", "--data", path});
  };
  const Wrong all[] = {
      {data(scratch_.path("none.txt")), 3, "none.txt"},
      {data(scratch_.path("empty.txt")), 3, "no text"},
      {data(scratch_.path("short.txt")), 3, "tokens"},
      {with({"--steps", "2", "--epochs", "1"}), 2, "--steps, --epochs and --hours"},
      {with({"--params", "1M"}), 2, "--params"},
      {with({"-m", model_}), 2, "a model that exists"},
      {with({"--batch-size", "100000"}), 2, "more than the"},
      {with({"--memory", "20MiB"}), 4, "allowed"},
      {with({"--tokenizer", "words"}), 2, "no tokenizer"},
      {with({"--heads", "3"}), 2, "cannot share"},
      {with({"--patience", "2", "--validation", "0"}), 2, "--patience"},
      {{"train", "--data", notes_, "-o", own_}, 2, "name a MODEL"},
      {{"train", model_, "--data", notes_, "-o", own_, "-c", "5000"}, 2, "longer than the model's"},
      {{"train", "--params", "1", "--data", notes_, "-o", own_}, 2, "no room for layers"},
  };
  const auto names = scratch_.names();
  for (const Wrong& wrong : all) {
    const Outcome outcome = run_program(wrong.arguments);
    EXPECT_EQ(outcome.exit_code, wrong.code) << outcome.error;
    EXPECT_THAT(outcome.error, HasSubstr(wrong.says));
    EXPECT_EQ(scratch_.names(), names) << outcome.error;
  }
}

TEST_F(Train, ChecksWhatItGoesOnFrom) {
  const auto run = arguments({"--steps", "2"});
  ASSERT_EQ(run_program(run).exit_code, 0);
  EXPECT_EQ(run_program(run).exit_code, 2) << "the output exists";
  std::filesystem::remove(own_);
  EXPECT_EQ(run_program(run).exit_code, 2) << "its checkpoints exist";
  auto other = arguments({"--steps", "4", "--resume", "--optimizer", "sgd"});
  Outcome outcome = run_program(other);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.error, HasSubstr("the optimizer that it began with"));
  const std::string checkpoint = file("step-0000000002.gguf");
  std::filesystem::resize_file(checkpoint, size_of(checkpoint) / 2);
  outcome = run_program(arguments({"--steps", "4", "--resume"}));
  EXPECT_EQ(outcome.exit_code, 3) << outcome.error;
  scratch_.write("notes.txt", sample_text(7000));
  EXPECT_EQ(run_program(arguments({"--steps", "2", "--force"})).exit_code, 0);
  scratch_.write("notes.txt", sample_text(8000));
  outcome = run_program(arguments({"--steps", "4", "--resume"}));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.error, HasSubstr("not what the checkpoint learned from"));
}

TEST_F(Train, AFullDiskLosesNothing) {
  ASSERT_EQ(run_program(arguments({"--steps", "2"})).exit_code, 0);
  std::filesystem::remove(own_);
  Invocation invocation{arguments({"--steps", "4", "--resume"})};
  invocation.most_file_bytes = 100 * 1024;
  const Outcome outcome = run_program(invocation);
  EXPECT_EQ(outcome.exit_code, 1) << outcome.error;
  EXPECT_TRUE(std::filesystem::exists(file("step-0000000002.gguf")));
  EXPECT_EQ(run_program(arguments({"--steps", "4", "--resume"})).exit_code, 0);
}

}  // namespace
}  // namespace enxuto
