// train, from outside: hours instead of steps, options from a file, the report, and the average of
// weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "inputs.h"
#include "json_lines.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

class TrainHabits : public testing::Test {
 protected:
  void SetUp() override { scratch_.write("notes.txt", sample_text(6000)); }
  // A new model of 50,000 parameters, without what says how long.
  Arguments arguments(const Arguments& more, const std::string& output = "own.gguf") const {
    Arguments all = {"train",    "--data", notes_,    "--tokenizer",  "bytes",
                     "--layers", "2",      "--width", "64",           "--heads",
                     "2",        "-c",     "32",      "--batch-size", "4",
                     "-t",       "2",      "--json",  "-o",           scratch_.path(output)};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static Json learn(const Arguments& arguments) {
    const Outcome outcome = run_program(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return outcome.exit_code == 0 ? Json::parse(outcome.out) : Json();
  }
  static Arguments with(Arguments all, const Arguments& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string whole(const std::string& output = "own.gguf") const {
    return read_whole(scratch_.path(output));
  }
  // All but the first, as if the rest had been lost.
  void keep_first_checkpoint() const {
    std::vector<std::string> steps;
    for (const auto& file : std::filesystem::directory_iterator(own_ + ".training"))
      if (file.path().filename().string().starts_with("step-")) steps.push_back(file.path());
    std::ranges::sort(steps);
    ASSERT_GT(steps.size(), 0u);
    for (size_t i = 1; i < steps.size(); ++i) std::filesystem::remove(steps[i]);
  }

  ScratchFolder scratch_;
  std::string notes_ = scratch_.path("notes.txt"), own_ = scratch_.path("own.gguf"),
              model_ = scratch_.path("tiny.gguf");
};

TEST_F(TrainHabits, HoursDecideTheStepsOnce) {
  const Arguments run =
      arguments({"--hours", "0.0002", "--save-every", "10", "--keep", "1000", "--ema", "0.9"});
  const Json json = learn(run);
  const uint64_t steps = json["steps"];
  EXPECT_GE(steps, 1u);
  EXPECT_TRUE(json["proposal"].is_null()) << "the shape was given";
  const std::string first = whole();
  keep_first_checkpoint();
  EXPECT_EQ(learn(with(run, {"--resume"}))["steps"], steps);
  EXPECT_EQ(whole(), first);
  learn(arguments({"--steps", std::to_string(steps), "--ema", "0.9"}, "same.gguf"));
  EXPECT_EQ(whole("same.gguf"), first) << "what was measured leaves no trace";
}

TEST_F(TrainHabits, HoursChooseANewModel) {
  scratch_.write("notes.txt", sample_text(2000));
  const Json json = learn({"train", "--data", notes_, "--hours", "1", "--memory", "200MiB", "-c",
                           "64", "-t", "2", "--json", "-o", own_});
  const Json& proposal = json["proposal"];
  EXPECT_EQ(proposal["bound"], "data") << "2 KB of text need no hour";
  EXPECT_LT(json["seconds"], 600);
  EXPECT_EQ(json["context"], proposal["context"]);
  EXPECT_EQ(json["parameters"], proposal["parameters"]);
  EXPECT_LE(json["planned_bytes"], 200 << 20);
  const double read = json["steps"].get<double>() * json["batch_size"].get<double>() *
                      json["context"].get<double>();
  EXPECT_LE(read, 4 * json["data"]["tokens"].get<double>());
  const std::string first = whole();
  learn({"train", "--config", own_ + ".training/config.toml", "-t", "1", "-o",
         scratch_.path("again.gguf"), "--json"});
  EXPECT_EQ(whole("again.gguf"), first) << "the file says what was chosen";
}

TEST_F(TrainHabits, APlanProposesWithoutAModel) {
  const Arguments plan = {"plan", "--for", "train", "--hours", "0.5",
                          "-t",   "2",     "-c",    "64",      "--json"};
  const Json chosen = learn(with(plan, {"--memory", "200MiB", "--data", notes_}));
  EXPECT_EQ(chosen["proposal"]["bound"], "data");
  const Json sized = learn(with(plan, {"--memory", "100MiB", "--params", "1M"}));
  EXPECT_NEAR(sized["proposal"]["parameters"].get<double>(), 1e6, 2e5);
  EXPECT_EQ(sized["proposal"]["bound"], "time");
  EXPECT_LE(sized["total_bytes"], 100 << 20);
  EXPECT_TRUE(sized["fits"]);
  const Outcome small = run_program(with(plan, {"--memory", "20MiB", "--params", "1M"}));
  EXPECT_EQ(small.exit_code, 4) << small.error;
  EXPECT_EQ(run_program({"plan", "--for", "train"}).exit_code, 2);
  write_tiny_llama(model_);
  EXPECT_EQ(run_program(with(plan, {"-m", model_})).exit_code, 2);
}

TEST_F(TrainHabits, ARunIsRepeatedFromItsConfig) {
  const Json json =
      learn(arguments({"--steps", "4", "--optimizer", "sgd", "--lr", "0.013", "--no-shuffle",
                       "--sample", "it said \"5\"", "--seed", "7", "--validation", "0.2"}));
  const std::string config = own_ + ".training/config.toml";
  const std::string first = whole(), again = scratch_.path("again.gguf");
  learn({"train", "--config", config, "-o", again, "--json"});
  EXPECT_EQ(whole("again.gguf"), first);
  EXPECT_EQ(metrics_of(again).back()["validation_loss"], json["validation_loss"]);
  EXPECT_EQ(read_whole(again + ".training/config.toml").size(),
            read_whole(config).size() + again.size() - own_.size());
  const Json shorter =
      learn({"train", "--steps", "2", "--config", config, "-o", again, "--force", "--json"});
  EXPECT_EQ(shorter["steps"], 2) << "what the command line says wins";
}

TEST_F(TrainHabits, AConfigIsChecked) {
  const auto says = [&](const std::string& text, const std::string& what) {
    scratch_.write("config.toml", text);
    const Outcome outcome =
        run_program(with(arguments({"--config", scratch_.path("config.toml")}), {}));
    EXPECT_EQ(outcome.exit_code, 2) << text;
    EXPECT_THAT(outcome.error, HasSubstr(what)) << text;
    EXPECT_THAT(outcome.error, HasSubstr("config.toml")) << text;
  };
  says("steps = 4\nbach-size = 8\n", "'bach-size'");
  says("[train]\nsteps = 4\n", "'train.steps'");
  says("resume = true\n", "'resume'");
  says("steps = many\n", "--steps");
  says("optimizer = \"adam\"\n", "--optimizer");
  const Outcome missing = run_program(arguments({"--config", scratch_.path("none.toml")}));
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.error, HasSubstr("none.toml"));
}

TEST_F(TrainHabits, AReportTellsOfTheWholeRun) {
  const std::string page = scratch_.path("report.html"), json = scratch_.path("report.json");
  const Arguments run = arguments({"--save-every", "3", "--keep", "9", "--sample", "<b>the"});
  learn(with(run, {"--steps", "6"}));
  std::filesystem::remove(own_);
  learn(with(run, {"--steps", "9", "--resume", "--report", json}));
  const Json report = Json::parse(read_whole(json));
  ASSERT_EQ(report["curve"].size(), 9u);
  const auto lines = metrics_of(own_);
  uint64_t tokens = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    tokens += lines[i]["tokens"].get<uint64_t>();
    EXPECT_EQ(report["curve"][i]["loss"], lines[i]["loss"]);
    EXPECT_EQ(report["curve"][i]["tokens"], tokens);
  }
  EXPECT_EQ(report["validations"].back()["loss"], report["validation_loss"]);
  EXPECT_THAT(report["samples"].back()["text"].get<std::string>(), HasSubstr("<b>the"));
  EXPECT_THAT(report["config"].get<std::string>(), HasSubstr("batch-size=4"));
  learn(with(run, {"--steps", "9", "--resume", "--report", page}));
  const std::string html = read_whole(page);
  for (const char* part :
       {"loss, nats", "learning rate", "tokens/s", "MiB planned", "&lt;b&gt;the", "batch-size=4"})
    EXPECT_THAT(html, HasSubstr(part));
  EXPECT_THAT(html, Not(HasSubstr("<b>the")));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("<b>0")));  // no step was left, and the losses are known
}

TEST_F(TrainHabits, AnAverageGoesOnBitForBit) {
  write_tiny_llama(model_);
  const Arguments ways[] = {{"--tokenizer", "bytes", "--layers", "2", "--width", "64", "--heads",
                             "2", "--weights", "bf16", "--optimizer", "adamw8"},
                            {"-m", model_, "--lora", "--rank", "4"}};
  for (const Arguments& way : ways) {
    const Arguments run = with(with({"train", "--data", notes_, "-c",      "32",  "--batch-size",
                                     "4",     "--lr",   "0.01", "--steps", "9",   "--save-every",
                                     "3",     "--keep", "9",    "--ema",   "0.8", "--json",
                                     "-o",    own_},
                                    way),
                               {});
    learn(with(run, {"--force"}));
    const std::string averaged = whole();
    const auto metrics = metrics_of(own_);
    keep_first_checkpoint();
    const Outcome without = run_program(with(with({"train", "--data", notes_, "-c", "32",
                                                   "--batch-size", "4", "--steps", "9", "-o", own_},
                                                  way),
                                             {"--resume"}));
    EXPECT_EQ(without.exit_code, 3);
    EXPECT_THAT(without.error, HasSubstr("--ema"));
    learn(with(run, {"--resume"}));
    EXPECT_EQ(whole(), averaged);
    EXPECT_EQ(metrics_of(own_).back()["validation_loss"], metrics.back()["validation_loss"]);
    Arguments plain = with(run, {"--force"});
    const auto ema = std::ranges::find(plain, "--ema");
    plain.erase(ema, ema + 2);
    learn(plain);
    EXPECT_NE(whole(), averaged);
    EXPECT_EQ(metrics_of(own_).back()["loss"], metrics.back()["loss"])
        << "the weights that move do not know of it";
    EXPECT_NE(metrics_of(own_).back()["validation_loss"], metrics.back()["validation_loss"]);
  }
}

TEST_F(TrainHabits, AnAverageIsPlannedToTheByte) {
  write_tiny_llama(model_);
  const Arguments how = {"-c",     "32",    "--batch-size", "4",     "--memory",
                         "200MiB", "--ema", "0.99",         "--json"};
  const Json plan = learn(with({"plan", model_, "--for", "train"}, how));
  const Json done = learn(with({"train", model_, "--data", notes_, "-o", own_, "--steps", "2",
                                "--report", scratch_.path("report.json")},
                               how));
  EXPECT_EQ(plan["total_bytes"], done["planned_bytes"]);
  const Json report = Json::parse(read_whole(scratch_.path("report.json")));
  bool met = false;
  for (const Json& part : report["memory"]["parts"])
    if (part["owner"] == "averaged weights") {
      met = true;
      EXPECT_EQ(part["taken_bytes"], part["planned_bytes"]);
      EXPECT_GE(part["planned_bytes"], 4 * done["parameters"].get<uint64_t>());
    }
  EXPECT_TRUE(met);
}

}  // namespace
}  // namespace enxuto
