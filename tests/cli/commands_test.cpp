// What each command prints when all is well.
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

class Commands : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }

  Json json_of(std::vector<std::string> arguments, int exit_code = 0) {
    const Outcome outcome = run_program(std::move(arguments));
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error;
    return Json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  }
  static void expect_keys(const Json& json, std::initializer_list<const char*> keys) {
    for (const char* key : keys) EXPECT_TRUE(json.contains(key)) << key;
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf");
};

TEST_F(Commands, HelpShowsExamplesEverywhere) {
  const Outcome all = run_program({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  EXPECT_THAT(all.out, HasSubstr("Examples:"));
  for (const char* command :
       {"inspect", "plan", "compress", "prune", "export", "run", "eval", "bench"}) {
    EXPECT_THAT(all.out, HasSubstr(command));
    const Outcome one = run_program({command, "--help"});
    EXPECT_EQ(one.exit_code, 0);
    EXPECT_THAT(one.out, HasSubstr(std::string("Examples:\n  enxuto ") + command));
    EXPECT_THAT(one.out, HasSubstr("--memory"));
    EXPECT_THAT(one.out, HasSubstr("--threads"));
  }
}

TEST_F(Commands, VersionIsOneLine) {
  const Outcome outcome = run_program({"--version"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, testing::MatchesRegex("enxuto [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(Commands, InspectCountsWhatTheFileHolds) {
  const Json json = json_of({"inspect", model_, "--json", "--tensors"});
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["file_bytes"], size_of(model_));
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["context"], 1024);
  EXPECT_EQ(json["chat_template"], true);
  EXPECT_EQ(json["tied_head"], false);
  EXPECT_EQ(json["tensors"].size(), json["tensor_count"]);
  for (const char* list : {"parts", "formats", "tensors"}) {
    uint64_t bytes = 0;
    for (const Json& share : json[list]) bytes += share["bytes"].get<uint64_t>();
    EXPECT_EQ(bytes, json["tensor_bytes"]) << list;
  }
  EXPECT_LT(json["tensor_bytes"], json["file_bytes"]);
}

TEST_F(Commands, InspectSaysHowLayersDiffer) {
  EXPECT_FALSE(json_of({"inspect", model_, "--json"}).contains("layer_widths"));
  ASSERT_TRUE(write_tiny_gguf(tiny_model({.architecture = "deci"}), Type::F32, model_).ok());
  const Json json = json_of({"inspect", model_, "--json"});
  EXPECT_EQ(json["heads"], 4);
  EXPECT_EQ(json["kv_heads"], 2);
  EXPECT_EQ(json["ffn_width"], 160);
  ASSERT_EQ(json["layer_widths"].size(), json["layers"]);
  EXPECT_EQ(json["layer_widths"][2], (Json{{"heads", 0}, {"kv_heads", 0}, {"ffn_width", 160}}));
  EXPECT_EQ(json["layer_widths"][3], (Json{{"heads", 2}, {"kv_heads", 1}, {"ffn_width", 128}}));
  EXPECT_THAT(run_program({"inspect", model_}).out,
              HasSubstr("0 to 4 heads (0 to 2 for keys and values), feed-forward 96 to 160"));
}

TEST_F(Commands, InspectForPeopleHasNoEscapesInAPipe) {
  const Outcome outcome = run_program({"inspect", model_, "--tensors"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.error, "");
  EXPECT_THAT(outcome.out, HasSubstr("feed-forward"));
  EXPECT_THAT(outcome.out, HasSubstr("blk.1.ffn_down.weight"));
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos);
}

TEST_F(Commands, PlanIsTheSumOfItsPartsAndGrowsWithTheContext) {
  auto plan = [&](const char* context) {
    return json_of({"plan", model_, "--for", "run", "--context", context, "--json"});
  };
  const Json small = plan("256"), large = plan("1024");
  uint64_t sum = 0;
  for (const Json& part : small["parts"]) {
    sum += part["bytes"].get<uint64_t>();
    EXPECT_FALSE(part["owner"].get<std::string>().empty());
    EXPECT_FALSE(part["why"].get<std::string>().empty());
  }
  EXPECT_EQ(small["total_bytes"], sum);
  EXPECT_EQ(small["context"], 256);
  EXPECT_EQ(small["fits"], true);
  EXPECT_GT(large["total_bytes"], small["total_bytes"]);
}

TEST_F(Commands, PlanThatDoesNotFitSaysSo) {
  const Json refused =
      json_of({"plan", model_, "--context", "1024", "--memory", "1M", "--json"}, 4);
  EXPECT_EQ(refused["fits"], false);
  EXPECT_GT(refused["total_bytes"], refused["memory_bytes"]);
}

TEST_F(Commands, PlanThatFitsByStreamingOnlySaysWhatWouldSpareIt) {
  const Json large = json_of({"plan", model_, "--context", "1024", "--json"});
  EXPECT_EQ(large["streamed_bytes_per_pass"], 0);
  const std::string less = std::to_string(large["total_bytes"].get<uint64_t>() - 1);
  const Json streams = json_of({"plan", model_, "--context", "1024", "--memory", less, "--json"});
  EXPECT_EQ(streams["fits"], true);
  EXPECT_LE(streams["total_bytes"], streams["memory_bytes"]);
  EXPECT_GT(streams["streamed_bytes_per_pass"], 0);
  ASSERT_FALSE(streams["suggestions"].empty());
  for (const Json& suggestion : streams["suggestions"]) {
    const auto option = suggestion["option"].get<std::string>();
    const std::string value = std::to_string(suggestion["value"].get<uint64_t>());
    if (option == "size") continue;  // tests/cli/compress_test.cpp tries that
    const Json spared = json_of({"plan", model_, "--memory", less, "--json", "--" + option, value});
    EXPECT_EQ(spared["streamed_bytes_per_pass"], 0);
  }
}

TEST_F(Commands, PlanSaysWhatFitsAndRecommendsIt) {
  const Json all = json_of({"plan", model_, "--context", "1024", "--json"});
  EXPECT_EQ(all["recommendation"]["mix"], "as is");
  const std::string less = std::to_string(all["total_bytes"].get<uint64_t>() - 1000);
  const Json json = json_of({"plan", model_, "--context", "1024", "--memory", less, "--json"});
  const Json& best = json["recommendation"];
  EXPECT_EQ(best["context"], 1024);
  EXPECT_LE(best["total_bytes"], json["memory_bytes"]);
  EXPECT_FALSE(best["reason"].get<std::string>().empty());
  bool listed = false;
  for (const Json& choice : json["choices"]) {
    EXPECT_EQ(choice["fits"], choice["total_bytes"] <= json["memory_bytes"]);
    listed |= choice["mix"] == best["mix"] && choice["context"] == best["context"] &&
              choice["batch"] == best["batch"] && choice["total_bytes"] == best["total_bytes"];
  }
  EXPECT_TRUE(listed);
}

TEST_F(Commands, PlanAnswersForAConfigWithoutWeights) {
  const std::string config = ENXUTO_SOURCE_DIR "/src/models/testdata/qwen2/config.json";
  scratch_.write("config.json", read_whole(config));
  const Json json = json_of({"plan", scratch_.path("config.json"), "--json"});
  EXPECT_EQ(json["fits"], true);
  EXPECT_FALSE(json["choices"].empty());
  const Outcome text = run_program({"plan", scratch_.path("config.json"), "--memory", "1GiB"});
  EXPECT_EQ(text.exit_code, 0) << text.error;
  EXPECT_THAT(text.out, HasSubstr("recommended"));
}

TEST_F(Commands, PlanAnswersForEachCommand) {
  for (const std::string goal : {"run", "serve", "eval", "bench", "compress", "train"}) {
    const Json json = json_of({"plan", model_, "--for", goal, "--json"});
    EXPECT_EQ(json["for"], goal);
    uint64_t sum = 0;
    for (const Json& part : json["parts"]) sum += part["bytes"].get<uint64_t>();
    EXPECT_EQ(json["total_bytes"], sum);
    const Outcome refused = run_program({"plan", model_, "--for", goal, "--memory", "1M"});
    EXPECT_EQ(refused.exit_code, 4) << goal;
    EXPECT_THAT(refused.error, HasSubstr("needs"));
  }
}

TEST_F(Commands, PlanExplainsAndWritesAPage) {
  const std::string page = scratch_.path("plan.html");
  const Outcome outcome = run_program({"plan", model_, "--explain", "--html", page});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_THAT(outcome.out, HasSubstr("KV cache"));
  EXPECT_THAT(outcome.out, HasSubstr("What training would take"));
  EXPECT_THAT(read_whole(page), testing::AllOf(HasSubstr("<svg"), HasSubstr("</html>")));
  EXPECT_EQ(run_program({"plan", model_, "--html", "/nowhere/plan.html"}).exit_code, 1);
}

TEST_F(Commands, PlanForManySequencesTakesACacheForEach) {
  const Json one = json_of({"plan", model_, "--context", "256", "--json"});
  const Json four = json_of({"plan", model_, "--context", "256", "--sequences", "4", "--json"});
  const auto cache = [](const Json& plan) {
    for (const Json& part : plan["parts"])
      if (part["owner"] == "KV cache") return part["bytes"].get<uint64_t>();
    return uint64_t{0};
  };
  EXPECT_GT(cache(one), 0u);
  EXPECT_EQ(cache(four), 4 * cache(one));
}

TEST_F(Commands, RunContinuesAPromptTheSameWayEachTime) {
  const Outcome first =
      run_program({"run", model_, "-p", "the tone", "-n", "16", "-c", "256", "--temp", "0"});
  EXPECT_EQ(first.exit_code, 0) << first.error;
  EXPECT_EQ(first.error, "");
  EXPECT_FALSE(first.out.empty());
  EXPECT_NE(first.out.substr(0, 8), "the tone") << "the prompt is not repeated";
  const Outcome by_input = run_program(
      Invocation{{"run", "-m", model_, "-n", "16", "-c", "256", "--temp", "0"}, "the tone"});
  EXPECT_EQ(by_input.out, first.out);
  auto seeded = [&](const char* seed) {
    return run_program({"run", model_, "-p", "a", "-n", "24", "--seed", seed, "-t", "1"}).out;
  };
  EXPECT_EQ(seeded("5"), seeded("5"));
  EXPECT_NE(seeded("5"), seeded("6"));
}

TEST_F(Commands, RunWritesNoMoreThanItIsTold) {
  const Outcome none = run_program({"run", model_, "-p", "the", "-n", "0", "-v"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_EQ(none.out, "");
  EXPECT_THAT(none.error, HasSubstr("wrote 0 tokens"));
  const Outcome all = run_program({"run", model_, "-p", "the", "-n", "24", "--temp", "0"});
  ASSERT_GT(all.out.size(), 4u);
  const std::string stop = all.out.substr(3, 2);
  const Outcome stopped =
      run_program({"run", model_, "-p", "the", "-n", "24", "--temp", "0", "--stop", stop});
  EXPECT_EQ(stopped.out, all.out.substr(0, all.out.find(stop)));
}

TEST_F(Commands, RunEndsClearlyWhenTheContextIsFull) {
  const Outcome outcome = run_program(
      {"run", model_, "-p", "the", "-c", "64", "--seed", "1", "--temp", "2", "--stop", "\x01\x02"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.error, HasSubstr("the context is full (64 tokens)"));
}

TEST_F(Commands, RunAnswersAQuestionByTheChatTemplate) {
  const std::vector<std::string> common = {"-n", "12", "--temp", "0"};
  auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), common.begin(), common.end());
    return run_program(arguments);
  };
  const Outcome chat = with({"run", model_, "-p", "eat", "--chat"});
  const Outcome raw = with({"run", model_, "-p", "user: eat\nassistant:"});
  EXPECT_EQ(chat.exit_code, 0) << chat.error;
  EXPECT_EQ(raw.exit_code, 0);
}

TEST_F(Commands, EvalAgainstItselfFindsNoDifference) {
  const std::string text = scratch_.write("text.txt", sample_text(6000));
  const Json json =
      json_of({"eval", model_, text, "--reference", model_, "--chunks", "2", "--json"});
  expect_keys(json, {"perplexity_error", "reference_perplexity", "kld_median", "kld_p99", "kld_max",
                     "scored_tokens", "seconds", "peak_rss_bytes"});
  EXPECT_EQ(json["chunks"], 2);
  EXPECT_GT(json["perplexity"], 1.0);
  EXPECT_NEAR(json["kld_mean"].get<double>(), 0, 1e-5);
  EXPECT_EQ(json["same_top"], 1.0);
  const Json alone = json_of({"eval", model_, text, "--chunks", "2", "--json"});
  EXPECT_EQ(alone["perplexity"], json["perplexity"]);
  EXPECT_FALSE(alone.contains("kld_mean"));
}

TEST_F(Commands, BenchReportsSpeedAndMemory) {
  const Json json = json_of(
      {"bench", model_, "-t", "1", "--prefill", "64", "--decode", "8", "--repeat", "1", "--json"});
  for (const char* key : {"prefill_tokens_per_second", "decode_tokens_per_second",
                          "time_to_first_token_seconds", "peak_rss_bytes", "planned_bytes"})
    EXPECT_GT(json[key].get<double>(), 0) << key;
  EXPECT_EQ(json["threads"], 1);
  EXPECT_EQ(json["prefill_tokens"], 64);
  EXPECT_EQ(json["decode_tokens"], 8);
  EXPECT_GT(json["products_per_second"].get<double>(), 0);
  for (const char* kind : {"decode", "prefill"}) {
    double seconds = 0;
    for (const Json& op : json[std::string(kind) + "_operators"]) {
      EXPECT_GE(op["seconds_per_token"].get<double>(), 0);
      seconds += op["seconds_per_token"].get<double>();
    }
    const double rate = json[std::string(kind) + "_tokens_per_second"];
    EXPECT_NEAR(seconds * rate, 1, 1e-3) << kind;  // with "rest" it is all of the time
  }
}

}  // namespace
}  // namespace enxuto
