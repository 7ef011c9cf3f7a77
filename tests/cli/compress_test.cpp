// compress, from outside: sizes obeyed, files whole or absent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

class Compress : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_llama(model_);
    scratch_.write("notes.txt", sample_text(3000));
  }
  std::vector<std::string> arguments(std::vector<std::string> more) const {
    std::vector<std::string> all = {"compress", model_, "-o", small_, "--calibration", notes_};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void expect_nothing_left() const {
    EXPECT_THAT(scratch_.names(), ElementsAre("notes.txt", "tiny.gguf"));
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf"), small_ = scratch_.path("small.gguf"),
              notes_ = scratch_.path("notes.txt");
};

TEST_F(Compress, WritesAtMostTheBytesThatWereAskedFor) {
  const uint64_t budget = size_of(model_) * 3 / 10;
  const std::string report = scratch_.path("report.json");
  const Outcome outcome =
      run_program(arguments({"--size", std::to_string(budget), "--json", "--report", report}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_LE(size_of(small_), budget);
  EXPECT_EQ(json["file_bytes"], size_of(small_));
  EXPECT_EQ(json["target_bytes"], budget);
  EXPECT_EQ(json["input_bytes"], size_of(model_));
  EXPECT_GT(json["predicted_kld"], 0.0);
  EXPECT_FALSE(json["formats"].empty());
  const Json full = Json::parse(read_whole(report));
  ASSERT_FALSE(full["tensors"].empty());
  EXPECT_TRUE(full["tensors"][0].contains("relative_error"));
  EXPECT_EQ(run_program({"run", small_, "-p", "the", "-n", "4"}).exit_code, 0);
  const std::string smaller = std::to_string(budget * 4 / 5);
  EXPECT_EQ(run_program(arguments({"--size", smaller})).exit_code, 2) << "it exists";
  EXPECT_EQ(run_program(arguments({"--size", smaller, "--force"})).exit_code, 0);
  EXPECT_LE(size_of(small_), budget * 4 / 5);
}

TEST_F(Compress, TakesAsMuchEffortAsItIsTold) {
  std::map<std::string, std::string> files;
  for (const std::string effort : {"fast", "normal", "best"}) {
    ASSERT_EQ(run_program(arguments({"--size", "90KB", "--effort", effort, "--force"})).exit_code,
              0);
    files[effort] = read_whole(small_);
    EXPECT_LE(files[effort].size(), 90000u);
  }
  ASSERT_EQ(run_program(arguments({"--size", "90KB", "--force"})).exit_code, 0);
  EXPECT_TRUE(read_whole(small_) == files["normal"]) << "it is what is done by itself";
  EXPECT_FALSE(files["fast"] == files["normal"]);
  EXPECT_THAT(run_program(arguments({"--size", "90KB", "--effort", "slow"})).error,
              HasSubstr("fast,normal,best"));
}

TEST_F(Compress, TakesItsTargetAsBitsPerWeightOrAsMemory) {
  const Json inspected = Json::parse(run_program({"inspect", model_, "--json"}).out);
  ASSERT_EQ(run_program(arguments({"--bpw", "9"})).exit_code, 0);
  EXPECT_LE(static_cast<double>(size_of(small_)) * 8, inspected["parameters"].get<double>() * 9);
  ASSERT_EQ(run_program(arguments({"--memory", "64MiB", "--force"})).exit_code, 0);
  EXPECT_EQ(run_program({"plan", small_, "--memory", "64MiB"}).exit_code, 0);
  // It is what compress itself may take, too.
  EXPECT_EQ(run_program(arguments({"--memory", "8MiB", "--force"})).exit_code, 4);
}

TEST_F(Compress, WritesTheBytesThatThePlanSaysOfAMix) {
  const Json plan = Json::parse(run_program({"plan", model_, "--json"}).out);
  uint64_t promised = 0;
  for (const Json& choice : plan["choices"])
    if (choice["mix"] == "Q8_0") promised = choice["file_bytes"];
  ASSERT_GT(promised, 0u);
  const std::string less = std::to_string(promised - 1);
  EXPECT_EQ(run_program(arguments({"--size", less, "--types", "Q8_0"})).exit_code, 4);
  const std::string size = std::to_string(promised);
  ASSERT_EQ(run_program(arguments({"--size", size, "--types", "Q8_0"})).exit_code, 0);
  EXPECT_EQ(size_of(small_), promised);
}

TEST_F(Compress, UsesOnlyTheFormatsThatAreListed) {
  const Outcome outcome =
      run_program(arguments({"--size", "300000", "--types", "Q8_0,q5_0", "--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json parsed = Json::parse(outcome.out);
  for (const Json& format : parsed["formats"])
    EXPECT_THAT(format["format"].get<std::string>(), testing::AnyOf("Q8_0", "Q5_0", "F32"));
}

std::map<std::string, std::string> formats_in(const Json& report) {
  std::map<std::string, std::string> formats;
  for (const Json& tensor : report["tensors"]) formats[tensor["name"]] = tensor["to"];
  return formats;
}

TEST_F(Compress, KeepsTheFormatsThatAreNamed) {
  const std::string report = scratch_.path("report.json");
  const Outcome outcome =
      run_program(arguments({"--size", "300000", "--types", "Q4_0,Q5_0", "--keep", "ffn_down=Q8_0",
                             "--keep", R"(^blk\.1\..*down=q5_1)", "--report", report}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  for (const auto& [name, format] : formats_in(Json::parse(read_whole(report)))) {
    if (name.find("ffn_down") == std::string::npos) {
      EXPECT_THAT(format, testing::AnyOf("Q4_0", "Q5_0", "F32")) << name;
    } else {
      EXPECT_EQ(format, name == "blk.1.ffn_down.weight" ? "Q5_1" : "Q8_0") << name;
    }
  }
}

TEST_F(Compress, SaysWhatCannotBeKept) {
  const std::pair<const char*, const char*> wrong[] = {
      {"ffn_down", "names no weights"},       {"=Q8_0", "names no weights"},
      {"ffn_down=Q9", "no number format"},    {"ffn_(down=Q8_0", "no regular expression"},
      {"experts=Q8_0", "names no weight of"}, {"attn_q=Q4_K", "no blocks of 256"}};
  for (const auto& [keep, message] : wrong) {
    const Outcome outcome = run_program(arguments({"--size", "300000", "--keep", keep}));
    EXPECT_EQ(outcome.exit_code, 2) << keep;
    EXPECT_THAT(outcome.error, HasSubstr(message));
    expect_nothing_left();
  }
}

// Importance from one text serves a compression that knows another.
TEST_F(Compress, WritesItsImportanceMatrixAndTakesOne) {
  const std::string matrix = scratch_.path("imatrix.gguf");
  ASSERT_EQ(run_program(arguments({"--size", "300000"})).exit_code, 0);
  const std::string plain = read_whole(small_);
  scratch_.write("notes.txt", std::string(3000, 't'));
  const std::vector<std::string> save = {"--size", "300000", "--force", "--save-imatrix", matrix};
  ASSERT_EQ(run_program(arguments(save)).exit_code, 0);
  scratch_.write("notes.txt", sample_text(3000));
  const Outcome taken =
      run_program(arguments({"--size", "300000", "--force", "--json", "--imatrix", matrix}));
  ASSERT_EQ(taken.exit_code, 0) << taken.error;
  EXPECT_EQ(Json::parse(taken.out)["imatrix_tensors"], 15);
  EXPECT_FALSE(read_whole(small_) == plain);
  EXPECT_EQ(run_program({"run", small_, "-p", "the", "-n", "4"}).exit_code, 0);
  const Outcome text = run_program(arguments({"--size", "300000", "--force", "--imatrix", matrix}));
  EXPECT_THAT(text.out, HasSubstr("importance of 15 tensors from " + matrix));
}

TEST_F(Compress, SaysWhatIsWrongWithAnImportanceMatrix) {
  const std::string matrix = scratch_.path("imatrix.gguf");
  const std::string before = read_whole(notes_);
  struct Wrong {
    std::vector<std::string> options;
    int exit_code;
    const char* message;
  };
  const Wrong wrong[] = {
      {{"--imatrix", scratch_.path("none.gguf")}, 3, "none.gguf"},
      {{"--imatrix", notes_}, 3, "notes.txt: no importance matrix"},
      {{"--imatrix", model_}, 3, "tiny.gguf: a GGUF file, but no importance matrix"},
      {{"--save-imatrix", notes_}, 2, "exists already"},
      {{"--save-imatrix", model_, "--force"}, 2, "input"},
      {{"--save-imatrix", scratch_.path("./small.gguf")}, 2, "same name"},
      {{"--save-imatrix", scratch_.path("no/such/imatrix.gguf")}, 1, "cannot write"},
      {{"--save-imatrix", matrix, "--imatrix", matrix}, 2, "excludes"}};
  for (const auto& [options, exit_code, message] : wrong) {
    std::vector<std::string> all = {"--size", "300000"};
    all.insert(all.end(), options.begin(), options.end());
    const Outcome outcome = run_program(arguments(all));
    EXPECT_EQ(outcome.exit_code, exit_code) << message << ": " << outcome.error;
    EXPECT_THAT(outcome.error, HasSubstr(message));
    expect_nothing_left();
  }
  EXPECT_EQ(read_whole(notes_), before);
}

TEST_F(Compress, ASizeTooSmallNamesTheSmallest) {
  const Outcome outcome = run_program(arguments({"--size", "10KB"}));
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.error, HasSubstr("smallest"));
  expect_nothing_left();
}

TEST_F(Compress, RefusesToOverwriteItsInput) {
  std::filesystem::create_symlink(model_, scratch_.path("link.gguf"));
  const std::string before = read_whole(model_);
  for (const std::string& same : {model_, scratch_.path("link.gguf")}) {
    const Outcome outcome =
        run_program({"compress", model_, "-o", same, "--size", "300K", "--force"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.error, HasSubstr("input"));
  }
  EXPECT_TRUE(before == read_whole(model_));
}

TEST_F(Compress, AFullDiskLeavesNothing) {
  // Covariances have no room, found before the work; then the file itself.
  const std::pair<uint64_t, const char*> limits[] = {{65536, "cannot use a temporary file"},
                                                     {290000, "cannot write"}};
  for (const auto& [bytes, message] : limits) {
    const Outcome outcome = run_program(
        Invocation{.arguments = arguments({"--size", "300000"}), .most_file_bytes = bytes});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.error, HasSubstr(message));
    expect_nothing_left();
  }
}

TEST_F(Compress, AFolderThatIsMissingIsAnError) {
  const Outcome outcome =
      run_program({"compress", model_, "-o", scratch_.path("no/such/small.gguf"), "--size", "300K",
                   "--calibration", notes_});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.error, HasSubstr("cannot write"));
}

TEST_F(Compress, CtrlCLeavesNothing) {
  const std::string long_text = scratch_.write("notes.txt", sample_text(400000));
  Invocation invocation{arguments({"--size", "300000"})};
  invocation.interrupt_when = [&] { return scratch_.names().size() > 2; };  // its output is begun
  const Outcome outcome = run_program(invocation);
  EXPECT_EQ(outcome.exit_code, 130) << outcome.error;
  EXPECT_THAT(outcome.error, HasSubstr("interrupted"));
  expect_nothing_left();
}

TEST_F(Compress, GoesOnAfterItWasKilledOrInterrupted) {
  const std::vector<std::string> task = {"--size", "300000", "--effort", "fast"};
  ASSERT_EQ(run_program(arguments(task)).exit_code, 0);
  const std::string expected = read_whole(small_);
  std::filesystem::remove(small_);
  const std::string state = scratch_.path("state");
  Invocation invocation{arguments({"--size", "300000", "--effort", "fast", "--state", state})};
  const auto when = [&](const char* record) {
    invocation.interrupt_when = [file = state + "/" + record] {
      return std::filesystem::exists(file);
    };
  };
  invocation.signal = SIGKILL;
  for (const char* record : {"calibrated-1", "probes"}) {
    when(record);
    EXPECT_EQ(run_program(invocation).exit_code, 128 + SIGKILL) << record;
    EXPECT_FALSE(std::filesystem::exists(small_));
    for (const std::string& name : scratch_.names())  // a kill leaves what was under way
      if (name.find(".part-") != std::string::npos) std::filesystem::remove(scratch_.path(name));
  }
  when("errors-0");
  invocation.signal = SIGINT;
  const Outcome interrupted = run_program(invocation);
  EXPECT_EQ(interrupted.exit_code, 130);
  EXPECT_THAT(interrupted.error, HasSubstr("going on with probing, layer"));
  EXPECT_THAT(interrupted.error, HasSubstr("the same command goes on"));
  EXPECT_THAT(scratch_.names(), ElementsAre("notes.txt", "state", "tiny.gguf"));
  invocation.interrupt_when = {};
  invocation.arguments.emplace_back("--json");
  const Outcome last = run_program(invocation);
  ASSERT_EQ(last.exit_code, 0) << last.error;
  EXPECT_TRUE(read_whole(small_) == expected);
  const Json kept = Json::parse(last.out)["state"];
  EXPECT_EQ(kept["folder"], state);
  EXPECT_GT(kept["bytes"], 0u);
  std::vector<std::string> stages;
  for (const Json& stage : kept["taken_over"]) stages.push_back(stage["stage"]);
  EXPECT_THAT(stages, ElementsAre("calibrating", "probing", "measuring"));
  EXPECT_EQ(kept["taken_over"][0]["layers"], kept["taken_over"][0]["of"]);
}

TEST_F(Compress, LeavesAFolderOfOthersAsItIs) {
  const std::string folder = scratch_.path("letters");
  std::filesystem::create_directory(folder);
  scratch_.write("letters/state.json", "{}");
  scratch_.write("letters/weights", "of letters");
  const Outcome outcome = run_program(arguments({"--size", "300000", "--state", folder}));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("holds other files"));
  EXPECT_EQ(read_whole(folder + "/state.json"), "{}");
  EXPECT_EQ(read_whole(folder + "/weights"), "of letters");
  EXPECT_FALSE(std::filesystem::exists(small_));
  EXPECT_EQ(run_program(arguments({"--size", "300000", "--state", notes_})).exit_code, 2);
}

TEST_F(Compress, ShowsQualityAgainstBytesWithoutWriting) {
  const std::vector<std::string> alone = {"compress", model_, "--curve", "--calibration", notes_};
  const Outcome text = run_program(alone);
  ASSERT_EQ(text.exit_code, 0) << text.error;
  EXPECT_THAT(text.out, testing::AllOf(HasSubstr("mostly"), HasSubstr("one format")));
  std::vector<std::string> as_json = alone;
  as_json.emplace_back("--json");
  const Json json = Json::parse(run_program(as_json).out);
  ASSERT_GT(json["curve"].size(), 10u);
  EXPECT_EQ(json["curve"][0]["file_bytes"], json["smallest_bytes"]);
  for (const char* key : {"target_bytes", "bits_per_weight", "predicted_kld", "formats"})
    EXPECT_TRUE(json["curve"][0].contains(key)) << key;
  EXPECT_TRUE(json["curve"][0]["formats"][0].contains("parameters"));
  for (const char* key : {"mix", "file_bytes", "predicted_kld", "allocated_kld"})
    EXPECT_TRUE(json["mixes"][0].contains(key)) << key;
  EXPECT_FALSE(json.contains("output"));
  expect_nothing_left();
}

TEST_F(Compress, MarksTheFileThatItWritesOnTheCurve) {
  const Outcome outcome = run_program(arguments({"--size", "300000", "--curve"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("this file"));
  EXPECT_LE(size_of(small_), 300000u);
}

TEST_F(Compress, ACurveThatWritesNothingTakesNoSize) {
  for (const std::vector<std::string>& size :
       {std::vector<std::string>{"--size", "300K"}, {"--bpw", "4"}}) {
    std::vector<std::string> all = {"compress", model_, "--curve"};
    all.insert(all.end(), size.begin(), size.end());
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.error, HasSubstr("-o"));
  }
  const Outcome unnamed = run_program({"compress", model_, "--size", "300K"});
  EXPECT_EQ(unnamed.exit_code, 2);
  EXPECT_THAT(unnamed.error, HasSubstr("-o"));
  EXPECT_EQ(run_program(arguments({"--curve"})).exit_code, 2) << "a file, but no size";
  expect_nothing_left();
}

TEST_F(Compress, SaysWhenNoTargetIsGivenOrTwo) {
  EXPECT_EQ(run_program(arguments({})).exit_code, 2);
  EXPECT_EQ(run_program(arguments({"--size", "1M", "--bpw", "4"})).exit_code, 2);
  EXPECT_EQ(run_program(arguments({"--size", "1M", "--types", "Q9_X"})).exit_code, 2);
  expect_nothing_left();
}

}  // namespace
}  // namespace enxuto
