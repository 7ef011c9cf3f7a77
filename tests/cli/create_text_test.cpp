// create text: jobs, JSON of a schema, and batches that go on where they were ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

constexpr const char* kPerson = R"({"type": "object", "title": "a person", "properties": {
  "name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
  "tags": {"type": "array", "items": {"enum": ["new", "old"]}, "maxItems": 3}},
  "required": ["name", "age"], "additionalProperties": false})";

class CreateText : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }

  Outcome create(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"create", "text", model_, "--seed", "7", "-t", "1"});
    return run_program(std::move(arguments));
  }
  std::vector<Json> lines_of(const std::string& path) {
    std::vector<Json> lines;
    std::istringstream in(read_whole(path));
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  std::string prompts(int n) {
    std::string text;
    for (int i = 0; i < n; ++i)
      text +=
          Json{{"id", i}, {"prompt", "the net, another tone " + std::to_string(i)}}.dump() + "\n";
    return scratch_.write("prompts.jsonl", text);
  }
  static void expect_person(const Json& person) {
    ASSERT_TRUE(person.is_object()) << person;
    EXPECT_TRUE(person["name"].is_string());
    EXPECT_TRUE(person["age"].is_number_integer());
    EXPECT_LE(person["age"], 120);
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf"), out_ = scratch_.path("out.jsonl"),
              schema_ = scratch_.write("person.json", kPerson);
};

TEST_F(CreateText, WritesJsonOfTheSchema) {
  for (const char* n : {"30", "100"}) {
    const Outcome outcome = create({"--schema", schema_, "-p", "tea", "-n", n});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    expect_person(Json::parse(outcome.out, nullptr, /*allow_exceptions=*/false));
  }
}

TEST_F(CreateText, RefusesWhatTheShortestDocumentDoesNotFit) {
  const Outcome outcome = create({"--schema", schema_, "-p", "tea", "-n", "5"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.error, HasSubstr("shortest document"));
}

TEST_F(CreateText, NamesKeywordsThatItDoesNotKnow) {
  const std::string schema = scratch_.write("s.json", R"({"type": "string", "format": "date"})");
  const Outcome outcome = create({"--schema", schema, "-p", "tea"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.error, HasSubstr("#/format"));
}

TEST_F(CreateText, ContinuesAsRunDoes) {
  const Outcome here = create({"-p", "another tone", "-n", "12"});
  const Outcome run =
      run_program({"run", model_, "-p", "another tone", "-n", "12", "--seed", "7", "-t", "1"});
  EXPECT_EQ(here.exit_code, 0) << here.error;
  EXPECT_EQ(here.out, run.out);
}

TEST_F(CreateText, EveryJobAnswers) {
  for (const char* job : {"rewrite", "summarize", "list"}) {
    const Outcome outcome = create({"--job", job, "-p", "tea", "-n", "4", "--json"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
    EXPECT_GT(Json::parse(outcome.out)["prompt_tokens"], 20) << job;
  }
}

TEST_F(CreateText, ABatchKeepsFieldsAndNamesBadRows) {
  const std::string path = scratch_.write("in.jsonl",
                                          "{\"id\": 1, \"prompt\": \"tea\"}\nbroken\n\n{\"id\": "
                                          "2}\n{\"prompt\": \"net\", \"é\": [1, null]}\n");
  const Outcome outcome = create({"--schema", schema_, "-n", "60", "--batch", path, "-o", out_});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  EXPECT_THAT(outcome.error, HasSubstr("in.jsonl:2: no sound JSON"));
  EXPECT_THAT(outcome.error, HasSubstr("in.jsonl:4: no text at \"prompt\""));
  const auto lines = lines_of(out_);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0]["id"], 1);
  expect_person(lines[0]["output"]);
  EXPECT_EQ(lines[1], (Json{{"error", "no sound JSON"}}));
  EXPECT_EQ(lines[2], (Json{{"id", 2}, {"error", "no text at \"prompt\""}}));
  EXPECT_EQ(lines[3]["é"], (Json{1, nullptr}));
  expect_person(lines[3]["output"]);
  EXPECT_THAT(scratch_.names(), testing::Not(testing::Contains("out.jsonl.batch")));
}

TEST_F(CreateText, CsvIsReadByItsHeader) {
  const std::string path = scratch_.write("in.csv", "id,text\n1,\"tea, \"\"net\"\"\"\n2\n3,ten\n");
  const Outcome outcome =
      create({"--batch", path, "--field", "text", "-o", out_, "-n", "5", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json report = Json::parse(outcome.out);
  EXPECT_EQ(report["rows"], 3);
  EXPECT_EQ(report["bad_rows"], 1);
  const auto lines = lines_of(out_);
  EXPECT_EQ(lines[0]["text"], "tea, \"net\"");
  EXPECT_TRUE(lines[0]["output"].is_string());
  EXPECT_TRUE(lines[1].contains("error"));
  const Outcome other = create({"--batch", path, "-o", scratch_.path("x.jsonl")});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.error, HasSubstr("id, text"));
}

TEST_F(CreateText, ABatchThatWasEndedGoesOnToTheSameFile) {
  const std::string path = prompts(60), whole = scratch_.path("whole.jsonl");
  const std::vector<std::string> job = {"--schema", schema_, "-n", "60", "--batch", path, "-o"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> all = job;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ASSERT_EQ(create(with({whole})).exit_code, 0);
  const std::string done = out_ + ".batch/results.jsonl";
  for (const int signal : {SIGINT, SIGKILL}) {
    std::vector<std::string> arguments = with({out_, "--resume"});
    arguments.insert(arguments.begin(), {"create", "text", model_, "--seed", "7", "-t", "1"});
    const size_t before = read_whole(done).size();
    const Outcome ended =
        run_program({.arguments = arguments,
                     .interrupt_when = [&] { return read_whole(done).size() > before + 400; },
                     .signal = signal});
    ASSERT_EQ(ended.exit_code, signal == SIGINT ? 130 : 128 + SIGKILL) << ended.error;
  }
  EXPECT_THAT(create(with({out_})).error, HasSubstr("--resume goes on"));
  std::vector<std::string> other = with({out_, "--resume"});
  other[3] = "70";
  EXPECT_THAT(create(other).error, HasSubstr("other options"));
  // Half a line, as where the power failed.
  scratch_.write("out.jsonl.batch/results.jsonl", read_whole(done) + "{\"id\": ");
  const Outcome resumed = create(with({out_, "--resume"}));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.error;
  EXPECT_EQ(read_whole(out_), read_whole(whole));
  EXPECT_EQ(lines_of(out_).size(), 60u);
}

}  // namespace
}  // namespace enxuto
