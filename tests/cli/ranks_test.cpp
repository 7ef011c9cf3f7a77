// train, started by mpirun: several processes learn what one would, with a share of the optimizer's
// memory each, from and to the same checkpoints; and what one of them meets ends all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "inputs.h"
#include "json_lines.h"
#include "program.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class TrainRanks : public testing::Test {
 protected:
  void SetUp() override { scratch_.write("notes.txt", sample_text(6000)); }
  // 7 texts of 32 tokens a step, which neither 2 nor 3 ranks share evenly.
  std::vector<std::string> arguments(const std::string& output,
                                     const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"train",  "--data", notes_,         "-o",     output, "-t",
                                    "1",      "-c",     "32",           "--json", "--lr", "0.003",
                                    "--keep", "9",      "--validation", "0.2"};
    if (std::ranges::find(more, "--batch-size") == more.end())
      all.insert(all.end(), {"--batch-size", "7"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome run(int ranks, const std::string& output, const std::vector<std::string>& more) const {
    Invocation invocation{arguments(output, more)};
    invocation.ranks = ranks;
    return run_program(invocation);
  }
  // The lines of metrics.jsonl.
  std::vector<Json> learn(int ranks, const std::string& output,
                          const std::vector<std::string>& more) const {
    const Outcome outcome = run(ranks, output, more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return metrics_of(output);
  }
  std::string model(const std::string& architecture, uint64_t seed = 1,
                    uint32_t n_layers = 2) const {
    TinyOptions options;
    options.architecture = architecture, options.width = 64, options.n_layers = n_layers;
    options.seed = seed;
    const std::string path = scratch_.path(architecture + std::to_string(seed) + ".gguf");
    const Status written = write_tiny_gguf(tiny_model(options), Type::F32, path);
    EXPECT_TRUE(written.ok()) << written.what();
    return path;
  }
  Json plan(const std::string& model, int ranks, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"plan",
                                    model,
                                    "--for",
                                    "train",
                                    "-c",
                                    "32",
                                    "-t",
                                    "1",
                                    "--batch-size",
                                    "2",
                                    "--json",
                                    "--ranks",
                                    std::to_string(ranks)};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return Json::parse(outcome.out);
  }
  // Of a text for each of two ranks: a byte less than they take where each has all parameters.
  std::string too_little_for_all(const std::string& model,
                                 const std::vector<std::string>& more = {}) const {
    return std::to_string(plan(model, 2, more)["total_bytes"].get<uint64_t>() - 1);
  }
  std::string checkpoint(const std::string& output, int step) const {
    return output + ".training/step-000000000" + std::to_string(step) + ".gguf";
  }

  ScratchFolder scratch_;
  std::string notes_ = scratch_.path("notes.txt"), one_ = scratch_.path("one.gguf"),
              many_ = scratch_.path("many.gguf");
};

void expect_same(const std::vector<Json>& some, const std::vector<Json>& others) {
  ASSERT_EQ(some.size(), others.size());
  ASSERT_GT(some.size(), 0u);
  for (size_t i = 0; i < some.size(); ++i)
    for (const char* key :
         {"loss", "gradient_norm", "tokens", "validation_loss", "kld", "validation_kld"}) {
      ASSERT_EQ(some[i].contains(key), others[i].contains(key)) << key << i;
      if (!some[i].contains(key)) continue;
      const double value = some[i][key];
      EXPECT_NEAR(others[i][key].get<double>(), value, 1e-5 * value) << key << i;
    }
}

// llama's head is a matrix of its own, gemma3's is the embedding.
TEST_F(TrainRanks, LearnWhatOneWould) {
  const std::pair<const char*, const char*> ways[] = {
      {"llama", "adamw"}, {"gemma3", "adamw"}, {"gemma3", "apollo"}};
  for (const auto& [architecture, optimizer] : ways) {
    SCOPED_TRACE(std::string(architecture) + " " + optimizer);
    const std::vector<std::string> how = {"-m",      model(architecture), "--steps", "6",
                                          "--force", "--optimizer",       optimizer};
    const auto alone = learn(0, one_, how);
    EXPECT_TRUE(alone.back().contains("validation_loss"));
    for (const int ranks : {2, 3}) {
      SCOPED_TRACE(ranks);
      expect_same(alone, learn(ranks, many_, how));
    }
  }
}

TEST_F(TrainRanks, LearnAnAdapterAndANewModelAlike) {
  const std::vector<std::string> ways[] = {
      {"-m", model("llama"), "--lora", "--rank", "5", "--steps", "4", "--force"},
      {"-m", model("llama"), "--lora", "--steps", "4", "--force", "--optimizer", "apollo"},
      {"--tokenizer", "bpe:300", "--layers", "2", "--width", "64", "--heads", "2", "--optimizer",
       "sgd", "--steps", "4", "--force"}};
  for (const auto& how : ways) expect_same(learn(0, one_, how), learn(3, many_, how));
}

// Validations measure the average, of which each has its own rows.
TEST_F(TrainRanks, AverageWhatTheyLearn) {
  const std::vector<std::string> how = {"-m",    model("llama"), "--steps",      "6",
                                        "--ema", "0.7",          "--save-every", "3"};
  const auto alone = learn(0, one_, how);
  expect_same(alone, learn(3, many_, how));
  std::filesystem::remove(checkpoint(many_, 6));
  auto resumed = how;
  resumed.push_back("--resume");
  expect_same(alone, learn(2, many_, resumed));
}

// Which the first of them asks, for all.
TEST_F(TrainRanks, LearnFromATeacherAlike) {
  const std::vector<std::string> how = {
      "-m", model("llama"), "--teacher", model("llama", 2), "--steps", "4"};
  const auto alone = learn(0, one_, how);
  EXPECT_TRUE(alone.back().contains("validation_kld"));
  expect_same(alone, learn(2, many_, how));
}

// Rounding by chance falls alike where numbers are alike.
TEST_F(TrainRanks, RoundAsOneDoes) {
  const std::vector<std::string> how = {"-m",        model("llama"), "--optimizer", "adamw8",
                                        "--weights", "bf16",         "--steps",     "4"};
  const auto alone = learn(0, one_, how), shared = learn(2, many_, how);
  ASSERT_EQ(alone.size(), shared.size());
  for (size_t i = 0; i < alone.size(); ++i)
    EXPECT_NEAR(shared[i]["loss"], alone[i]["loss"].get<double>(), 1e-3);
}

TEST_F(TrainRanks, GoOnFromEachOthersCheckpoints) {
  for (const std::string optimizer : {"adamw", "adamw8", "apollo"}) {
    SCOPED_TRACE(optimizer);
    const std::vector<std::string> how = {"-m", model("gemma3"), "--steps", "6", "--save-every",
                                          "3",  "--optimizer",   optimizer};
    auto anew = how, resumed = how;
    anew.push_back("--force"), resumed.push_back("--resume");
    const auto whole = learn(0, one_, anew);
    learn(2, many_, anew);
    EXPECT_EQ(size_of(checkpoint(many_, 3)), size_of(checkpoint(one_, 3)));
    for (const int ranks : {0, 3}) {
      std::filesystem::remove(checkpoint(many_, 6));
      if (optimizer != "adamw8")
        expect_same(whole, learn(ranks, many_, resumed));
      else
        EXPECT_NEAR(learn(ranks, many_, resumed).back()["loss"], whole.back()["loss"].get<double>(),
                    1e-3);
    }
  }
}

// A batch of fewer texts than ranks, too.
TEST_F(TrainRanks, MayHaveNothingToDo) {
  const std::vector<std::string> how = {"-m", model("llama"), "--steps", "2", "--batch-size", "2"};
  expect_same(learn(0, one_, how), learn(3, many_, how));
}

double bytes_of(const Json& planned, const char* owner) {
  for (const Json& part : planned["parts"])
    if (part["owner"] == owner) return part["bytes"].get<double>();
  return 0.0;
}

TEST_F(TrainRanks, ArePlannedAsTheyAre) {
  const std::string llama = model("llama");
  const double alone = bytes_of(plan(llama, 1), "optimizer");
  ASSERT_GT(alone, 0);
  EXPECT_LE(bytes_of(plan(llama, 2), "optimizer"), 0.55 * alone);
  EXPECT_LE(bytes_of(plan(llama, 4), "optimizer"), 0.30 * alone);
  const Outcome outcome = run(2, many_, {"-m", llama, "--steps", "2", "--batch-size", "2"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(Json::parse(outcome.out)["planned_bytes"], plan(llama, 2)["total_bytes"]);
}

// Where each would have no room for all parameters each keeps a part of them, and learns the same,
// bit for bit. gemma3's embedding is its head; gpt2 has positions.
TEST_F(TrainRanks, ShareParametersThatDoNotFit) {
  for (const char* architecture : {"llama", "gemma3", "gpt2", "qwen2moe"}) {
    SCOPED_TRACE(architecture);
    const std::string path = model(architecture, 1, 6), memory = too_little_for_all(path);
    const Json shared = plan(path, 2, {"--memory", memory});
    EXPECT_LE(bytes_of(shared, "parameters"), 0.55 * bytes_of(plan(path, 2), "parameters"));
    EXPECT_GT(bytes_of(shared, "gathered parameters"), 0);
    std::vector<std::string> how = {"-m", path, "--steps", "3", "--batch-size", "2", "--force"};
    learn(2, one_, how);
    how.insert(how.end(), {"--memory", memory});
    const Outcome outcome = run(2, many_, how);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    EXPECT_EQ(Json::parse(outcome.out)["planned_bytes"], shared["total_bytes"]);
    EXPECT_EQ(read_whole(many_), read_whole(one_));
  }
}

// With an average, too; and one process goes on from what they had.
TEST_F(TrainRanks, GoOnFromSharedParameters) {
  const std::string path = model("llama", 1, 6),
                    memory = too_little_for_all(path, {"--ema", "0.7"});
  std::vector<std::string> how = {"-m",           path, "--batch-size", "2", "--ema", "0.7",
                                  "--save-every", "2",  "--steps",      "4"};
  const auto alone = learn(0, one_, how);
  auto shared = how;
  shared.insert(shared.end(), {"--memory", memory});
  learn(2, many_, shared);
  const std::string learned = read_whole(many_), saved = read_whole(checkpoint(many_, 4));
  EXPECT_EQ(saved.size(), size_of(checkpoint(one_, 4)));
  std::filesystem::remove(checkpoint(many_, 4));
  how.push_back("--resume"), shared.push_back("--resume");
  EXPECT_NEAR(learn(0, many_, how).back()["loss"], alone.back()["loss"].get<double>(), 1e-3);
  std::filesystem::remove(checkpoint(many_, 4));
  learn(2, many_, shared);
  EXPECT_EQ(read_whole(many_), learned);
  EXPECT_EQ(read_whole(checkpoint(many_, 4)), saved);
}

// The process of this rank that writes to `output`, or 0.
pid_t process_of(const std::string& output, int rank) {
  const std::string variable = "OMPI_COMM_WORLD_RANK=" + std::to_string(rank);
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    const std::string arguments = read_whole(entry.path() / "cmdline");
    if (arguments.find(output) == std::string::npos) continue;
    if (read_whole(entry.path() / "environ").find(variable) != std::string::npos) return pid;
  }
  return 0;
}

// Both, soon.
bool are_gone(const std::string& output) {
  constexpr int kMostTenths = 100;
  for (int tenth = 0; tenth < kMostTenths; ++tenth) {
    if (process_of(output, 0) == 0 && process_of(output, 1) == 0) return true;
    ::usleep(100'000);
  }
  return false;
}

TEST_F(TrainRanks, AllEndWhereOneDies) {
  const std::string path = model("llama", 1, 6);
  for (const std::string& memory : {std::string("4GiB"), too_little_for_all(path)}) {
    const std::vector<std::string> how = {"-m", path, "--batch-size", "2", "--steps"};
    auto endless = how;
    endless.insert(endless.end(), {"100000", "--save-every", "5", "--force", "--memory", memory});
    Invocation invocation{arguments(many_, endless)};
    invocation.ranks = 2;
    std::chrono::steady_clock::time_point killed;
    invocation.interrupt_when = [&] {
      if (killed.time_since_epoch().count() || !std::filesystem::exists(checkpoint(many_, 5)))
        return false;
      const pid_t rank = process_of(many_, 1);
      if (rank && ::kill(rank, SIGKILL) == 0) killed = std::chrono::steady_clock::now();
      return false;
    };
    const Outcome ended = run_program(invocation);
    EXPECT_NE(ended.exit_code, 0);
    EXPECT_THAT(ended.error, HasSubstr("rank 1"));
    EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(20));
    EXPECT_EQ(process_of(many_, 0), 0);
    auto resumed = how;
    const int steps = metrics_of(many_).back()["step"].get<int>() + 2;
    resumed.insert(resumed.end(), {std::to_string(steps), "--resume"});
    const Outcome outcome = run(0, many_, resumed);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    EXPECT_EQ(metrics_of(many_).back()["step"], steps);
  }
}

// A checkpoint that cannot be written ends all, and the one before stays good.
TEST_F(TrainRanks, AllEndWhereTheDiskIsFull) {
  const std::vector<std::string> how = {"-m", model("llama"), "--schedule", "constant", "--warmup",
                                        "0",  "--save-every", "2",          "--steps"};
  const auto until = [&](const char* step, const char* more) {
    auto all = how;
    all.insert(all.end(), {step, more});
    return all;
  };
  const auto whole = learn(0, one_, until("4", "--force"));
  learn(2, many_, until("2", "--force"));
  const std::string good = read_whole(checkpoint(many_, 2));
  Invocation full{arguments(many_, until("4", "--resume"))};
  full.ranks = 2, full.most_file_bytes = good.size() / 2;
  const Outcome outcome = run_program(full);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.error, HasSubstr("cannot write"));
  EXPECT_THAT(outcome.error, HasSubstr("free some space"));
  EXPECT_TRUE(are_gone(many_)) << "mpirun ends those that are left";
  EXPECT_EQ(read_whole(checkpoint(many_, 2)), good);
  for (const auto& entry : std::filesystem::directory_iterator(many_ + ".training"))
    EXPECT_THAT(entry.path().string(), testing::Not(HasSubstr(".part-")));
  const auto resumed = learn(2, many_, until("4", "--resume"));
  ASSERT_EQ(resumed.size(), 4u);
  EXPECT_NEAR(resumed.back()["loss"], whole.back()["loss"].get<double>(), 1e-4);
}

TEST_F(TrainRanks, EndTogetherWithWhatWasWrong) {
  const Outcome outcome = run(2, many_, {"-m", model("llama"), "--batch-size", "100000"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("more than the"));
}

TEST_F(TrainRanks, AnInterruptionSavesTheStepTheyAreAt) {
  Invocation invocation{arguments(many_, {"-m", model("llama"), "--steps", "100000"})};
  invocation.ranks = 2;
  invocation.interrupt_when = [&] {
    return read_whole(many_ + ".training/metrics.jsonl").size() > 100;
  };
  EXPECT_NE(run_program(invocation).exit_code, 0);
  const auto steps = metrics_of(many_).size();
  ASSERT_GT(steps, 0u);
  const std::string more = std::to_string(steps + 2);
  EXPECT_EQ(run(2, many_, {"-m", model("llama"), "--steps", more, "--resume"}).exit_code, 0);
  EXPECT_EQ(metrics_of(many_).size(), steps + 2);
}

}  // namespace
}  // namespace enxuto
