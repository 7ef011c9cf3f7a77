// create table, from outside: a table is learned, and tables come of the model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Json = nlohmann::json;

class CreateTable : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchFolder;
    std::string text = "sex,age,income\n";
    for (int i = 0; i < 400; ++i)
      text += (i % 3 ? "Male," : "Female,") + std::to_string(20 + i % 7) + "," +
              std::to_string(1000 + i * 37 % 4000) + ".50\n";
    table_ = scratch_->write("people.csv", text);
    model_ = scratch_->path("people.gguf");
    trained_ = run_program({"train", "--media", "table", "--data", table_, "-o", model_, "--layers",
                            "1", "--width", "32", "--heads", "1", "--steps", "10", "-t", "2"});
  }
  static void TearDownTestSuite() { delete scratch_; }
  void SetUp() override { ASSERT_EQ(trained_.exit_code, 0) << trained_.error; }
  static Outcome create(std::vector<std::string> more) {
    std::vector<std::string> all = {"create", "table",   model_,   "-o",
                                    out(),    "--force", "--rows", "30"};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  }
  static std::string out() { return scratch_->path("made.csv"); }

  static inline ScratchFolder* scratch_ = nullptr;
  static inline std::string table_, model_;
  static inline Outcome trained_;
};

TEST_F(CreateTable, TrainingTellsWhatColumnsAre) {
  EXPECT_THAT(trained_.error, HasSubstr("sex"));
  EXPECT_THAT(trained_.error, HasSubstr("decimal"));
  EXPECT_THAT(trained_.error, HasSubstr("Male | Female"));
}

TEST_F(CreateTable, EachMethodMakesRowsOfTheSchema) {
  for (const char* method : {"network", "copula", "independent"}) {
    const Outcome outcome =
        create({"--method", method, "--where", "sex=Female", "--where", "age>22", "--json"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    EXPECT_EQ(Json::parse(outcome.out)["rows"], 30);
    std::istringstream made(read_whole(out()));
    std::string line;
    std::getline(made, line);
    EXPECT_EQ(line, "sex,age,income");
    int rows = 0;
    for (; std::getline(made, line); ++rows) {
      EXPECT_THAT(line, StartsWith("Female,2"));
      EXPECT_GT(line[8], '2') << line;
      EXPECT_TRUE(line.ends_with(".50")) << line;
    }
    EXPECT_EQ(rows, 30);
  }
}

TEST_F(CreateTable, TheSameSeedMakesTheSameRows) {
  ASSERT_EQ(create({"--seed", "5"}).exit_code, 0);
  const std::string first = read_whole(out());
  ASSERT_EQ(create({"--seed", "5", "-t", "2"}).exit_code, 0);
  EXPECT_EQ(read_whole(out()), first);
  ASSERT_EQ(create({"--seed", "6"}).exit_code, 0);
  EXPECT_NE(read_whole(out()), first);
}

TEST_F(CreateTable, ReportsHowLikeTheTableItIs) {
  const std::string page = scratch_->path("report.html");
  const Outcome outcome =
      create({"--compare", table_, "--holdout", table_, "--report", page, "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json comparison = Json::parse(outcome.out)["comparison"];
  EXPECT_EQ(comparison["columns"].size(), 3u);
  EXPECT_EQ(comparison["pairs"].size(), 3u);
  EXPECT_EQ(comparison["nearest_of_held"]["copied_share"], 1);
  EXPECT_THAT(read_whole(page), HasSubstr("income"));
}

TEST_F(CreateTable, ErrorsSayWhatToDo) {
  EXPECT_EQ(create({"--where", "sex=Robot"}).exit_code, 2);
  EXPECT_THAT(create({"--where", "height>2"}).error, HasSubstr("its columns are sex, age, income"));
  EXPECT_EQ(create({"--report", scratch_->path("none.html")}).exit_code, 2);
  EXPECT_EQ(create({"--holdout", table_}).exit_code, 2);
  const std::string text_model = scratch_->path("text.gguf");
  write_tiny_llama(text_model);
  const Outcome of_text = run_program({"create", "table", text_model, "-o", out(), "--force"});
  EXPECT_EQ(of_text.exit_code, 3);
  EXPECT_THAT(of_text.error, HasSubstr("the model makes text"));
  EXPECT_EQ(run_program({"run", model_, "-p", "x"}).exit_code, 3);
}

}  // namespace
}  // namespace enxuto
