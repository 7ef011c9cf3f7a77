// What compress weighs beside bytes, and what it has to say of its inputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

class CompressChoices : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }
  Outcome compress(const std::string& model, const std::string& output,
                   const std::vector<std::string>& more, const std::string& size = "90KB") const {
    std::vector<std::string> all = {"compress", model, "-o", output, "--effort", "fast", "--json"};
    all.insert(all.end(), {"--size", size});
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf"), small_ = scratch_.path("small.gguf");
};

TEST_F(CompressChoices, ForSpeedTakesQuickerFormatsForALittleMoreLoss) {
  const Outcome outcome = compress(model_, small_, {"--for-speed"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out), speed = json["for_speed"];
  EXPECT_GT(speed["seconds_per_token"], 0.0);
  EXPECT_LE(speed["seconds_per_token"], speed["seconds_per_token_without"]);
  EXPECT_LE(json["predicted_kld"].get<double>(),
            1.1 * speed["predicted_kld_without"].get<double>() + 1e-9);
  EXPECT_LE(size_of(small_), 90000u);
  EXPECT_EQ(run_program({"run", small_, "-p", "the", "-n", "4"}).exit_code, 0);
}

// Speeds are timed, so they are not the same twice; what goes on goes by those it began with.
TEST_F(CompressChoices, ForSpeedWritesTheSameFileFromTheSameState) {
  const std::vector<std::string> more = {"--for-speed", "--state", scratch_.path("state")};
  ASSERT_EQ(compress(model_, small_, more).exit_code, 0);
  const std::string again = scratch_.path("again.gguf");
  const Outcome outcome = compress(model_, again, more);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_EQ(read_whole(again), read_whole(small_));
}

TEST_F(CompressChoices, WeighsPruningAndSaysWhatCameOfIt) {
  const std::string report = scratch_.path("report.json");
  const Outcome outcome = compress(model_, small_, {"--prune", "auto", "--report", report});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out), choice = json["prune"];
  EXPECT_GT(choice["weighed"].size(), 1u);
  EXPECT_EQ(choice["weighed"][0]["share"], 0.0);
  EXPECT_GT(choice["weighed"][0]["predicted_kld"], 0.0);
  for (const char* key : {"share", "tried_share", "kld_pruned", "kld_unpruned", "judged_tokens"})
    EXPECT_TRUE(choice[key].is_number()) << key;
  EXPECT_EQ(json["input_bytes"], size_of(model_));
  EXPECT_EQ(json["file_bytes"], size_of(small_));
  EXPECT_LE(size_of(small_), 90000u);
  EXPECT_FALSE(Json::parse(read_whole(report))["tensors"].empty());
  EXPECT_THAT(scratch_.names(), testing::ElementsAre("report.json", "small.gguf", "tiny.gguf"));
  EXPECT_FALSE(Json::parse(compress(model_, small_, {"--force"}).out).contains("prune"));
}

TEST_F(CompressChoices, RefusesToWeighPruningWithWhatHasNoSenseThen) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--for-speed"}, {"--save-imatrix", scratch_.path("i.gguf")}}) {
    std::vector<std::string> all = {"--prune", "auto"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = compress(model_, small_, all);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_THAT(outcome.error, HasSubstr("--prune"));
  }
  EXPECT_EQ(run_program({"compress", model_, "--curve", "--prune", "auto"}).exit_code, 2);
  EXPECT_THAT(scratch_.names(), testing::ElementsAre("tiny.gguf"));
}

TEST_F(CompressChoices, SaysWhenTheTextIsShort) {
  scratch_.write("long.txt", sample_text(200000));
  scratch_.write("short.txt", sample_text(1000));
  const Outcome of_long = compress(model_, small_, {"--calibration", scratch_.path("long.txt")});
  EXPECT_EQ(of_long.exit_code, 0);
  EXPECT_EQ(of_long.error, "");
  EXPECT_EQ(Json::parse(of_long.out)["cautions"], Json::array());
  const Outcome of_short =
      compress(model_, small_, {"--calibration", scratch_.path("short.txt"), "--force"});
  EXPECT_EQ(of_short.exit_code, 0);
  EXPECT_THAT(of_short.error, HasSubstr("tokens that are wanted"));
  EXPECT_THAT(Json::parse(of_short.out)["cautions"][0], HasSubstr("tokens that are wanted"));
}

TEST_F(CompressChoices, SaysWhenTheModelIsQuantizedAlready) {
  ASSERT_EQ(compress(model_, small_, {}).exit_code, 0);
  const Outcome outcome = compress(small_, scratch_.path("smaller.gguf"), {}, "80KB");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.error, HasSubstr("quantized already"));
  EXPECT_THAT(compress(model_, small_, {"--force"}).error, Not(HasSubstr("quantized already")));
}

}  // namespace
}  // namespace enxuto
