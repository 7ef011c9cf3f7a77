// --report: plan against measurement, for each command that works on a model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class Report : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }
  std::vector<std::string> run_with(const std::string& report) const {
    return {"run", model_, "-p", "the", "-n", "8", "-c", "256", "--report", report};
  }
  // A command and the key of a result that its report has to hold.
  std::vector<std::pair<std::vector<std::string>, std::string>> commands() const {
    const std::string text = scratch_.write("text.txt", sample_text(6000));
    return {{{"run", model_, "-p", "the", "-n", "8", "-c", "256"}, "new_tokens"},
            {{"bench", model_, "--prefill", "32", "--decode", "4"}, "decode_tokens_per_second"},
            {{"eval", model_, text, "--chunks", "2"}, "perplexity"},
            {{"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "300K", "--force"},
             "file_bytes"}};
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf");
};

TEST_F(Report, HoldsThePlanBesideWhatTheKernelCounted) {
  const std::string file = scratch_.path("report.json");
  for (auto [arguments, result] : commands()) {
    SCOPED_TRACE(arguments.front());
    arguments.insert(arguments.end(), {"--report", file});
    const Outcome outcome = run_program(arguments);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    const Json report = Json::parse(read_whole(file));
    EXPECT_EQ(report["command"], arguments.front());
    EXPECT_TRUE(report.contains(result));
    const Json& memory = report["memory"];
    EXPECT_GT(memory["peak_rss_bytes"], 0);
    EXPECT_GT(memory["minor_page_faults"], 0);
    EXPECT_FALSE(memory["rss_bytes"].empty());
    uint64_t planned = 0, measured = 0;
    for (const Json& part : memory["parts"]) {
      planned += part["planned_bytes"].get<uint64_t>();
      if (!part["peak_bytes"].is_null()) measured += part["peak_bytes"].get<uint64_t>();
      // Whole pages: at most one more than was planned, at each end.
      if (part["kind"] == "arena" && !part["peak_bytes"].is_null()) {
        EXPECT_LE(part["peak_bytes"].get<uint64_t>(), part["planned_bytes"].get<uint64_t>() + 8192);
      }
    }
    EXPECT_EQ(planned, memory["planned_bytes"]);
    EXPECT_GE(measured, memory["peak_rss_bytes"]);
  }
}

TEST_F(Report, IsAPageWhereItsNameSaysSo) {
  const std::string file = scratch_.path("report.html");
  for (auto [arguments, result] : commands()) {
    arguments.insert(arguments.end(), {"--report", file});
    ASSERT_EQ(run_program(arguments).exit_code, 0);
    EXPECT_THAT(read_whole(file),
                testing::AllOf(HasSubstr("<polyline"), HasSubstr("planned"), HasSubstr("</html>")));
  }
}

TEST_F(Report, ANameOfAnotherKindOrAFolderThatIsMissingIsFoundBeforeTheWork) {
  EXPECT_EQ(run_program(run_with(scratch_.path("report.txt"))).exit_code, 2);
  const Outcome outcome = run_program(run_with(scratch_.path("no/such/report.json")));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.error, HasSubstr("report.json"));
}

TEST_F(Report, ADiskThatFillsUpLosesNothingOfTheResult) {
  Invocation invocation{run_with(scratch_.path("b.html"))};
  invocation.arguments.insert(invocation.arguments.end(), {"--temp", "0"});
  invocation.most_file_bytes = 512;
  const Outcome outcome = run_program(invocation);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_FALSE(outcome.out.empty());
  EXPECT_THAT(outcome.error, HasSubstr("cannot write"));
  EXPECT_THAT(scratch_.names(), testing::ElementsAre("tiny.gguf"));
}

TEST_F(Report, AFailedCommandLeavesNoReport) {
  std::vector<std::string> arguments = run_with(scratch_.path("report.json"));
  arguments.insert(arguments.end(), {"--memory", "1M"});
  EXPECT_EQ(run_program(arguments).exit_code, 4);
  EXPECT_THAT(scratch_.names(), testing::ElementsAre("tiny.gguf"));
}

TEST_F(Report, AbsurdSizesAndBudgetsAreClearErrors) {
  for (const char* memory : {"-5", "0", "nan", "1e", "99999999999999999999", "1MiBs"})
    EXPECT_EQ(run_program({"run", model_, "-p", "x", "--memory", memory}).exit_code, 2) << memory;
  EXPECT_EQ(run_program({"run", model_, "-p", "x", "--memory", "1"}).exit_code, 4);
  EXPECT_EQ(run_program({"plan", model_, "-c", "1000000000", "--memory", "1GiB"}).exit_code, 4);
}

}  // namespace
}  // namespace enxuto
