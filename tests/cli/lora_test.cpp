// --lora of run, eval and bench, and merge, from outside: the adapter counts, files whole or
// absent, errors that help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "inputs.h"
#include "models/adapter.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::json;

// Of rank 2, for all matrices of the model's layers.
void write_adapter_of(const std::string& model_file, const std::string& path) {
  const auto model = open_model(model_file);
  ASSERT_TRUE(model.ok()) << model.status().what();
  const auto adapter = blank_adapter(**model, 2);
  std::vector<std::vector<float>> numbers;
  for (Tensor& tensor : adapter->tensors) {
    auto& values = numbers.emplace_back(tensor.count());
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = 0.2f * static_cast<float>(std::sin(static_cast<double>(i * 37 % 101)));
    tensor.data = {reinterpret_cast<const uint8_t*>(values.data()), tensor.bytes()};
  }
  const Status status = write_adapter(*adapter, **model, path, false);
  ASSERT_TRUE(status.ok()) << status.what();
}

class LoraCommands : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_llama(model_);
    write_adapter_of(model_, adapter_);
    scratch_.write("text.txt", sample_text(6000));
  }
  double perplexity(const std::string& model, std::vector<std::string> more) const {
    std::vector<std::string> all = {"eval", model, text_, "-c", "64", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return Json::parse(outcome.out)["perplexity"];
  }
  std::vector<std::string> merge(std::vector<std::string> more) const {
    std::vector<std::string> all = {"merge", model_, "--lora", adapter_, "-o", merged_};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void expect_nothing_left() const {
    EXPECT_THAT(scratch_.names(), ElementsAre("adapter.gguf", "text.txt", "tiny.gguf"));
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf"), adapter_ = scratch_.path("adapter.gguf"),
              text_ = scratch_.path("text.txt"), merged_ = scratch_.path("merged.gguf");
};

TEST_F(LoraCommands, AMergedModelAnswersAsTheOneWithItsAdapter) {
  const Outcome outcome = run_program(merge({"--json"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["output"], merged_);
  EXPECT_EQ(json["file_bytes"], size_of(merged_));
  EXPECT_EQ(json["input_bytes"], size_of(model_));
  EXPECT_EQ(json["merged_tensors"], 14);
  EXPECT_THAT(json["rounded_formats"], IsEmpty());
  EXPECT_NEAR(json["kept_change"], 1, 1e-3);
  const double without = perplexity(model_, {}), with = perplexity(model_, {"--lora", adapter_});
  EXPECT_GT(std::abs(with / without - 1), 0.01);
  EXPECT_NEAR(perplexity(merged_, {}) / with, 1, 1e-3);
  // The reference of --reference is the model as it is.
  const Outcome compared = run_program(
      {"eval", model_, text_, "-c", "64", "--json", "--lora", adapter_, "--reference", model_});
  ASSERT_EQ(compared.exit_code, 0) << compared.error;
  EXPECT_NEAR(Json::parse(compared.out)["reference_perplexity"].get<double>() / without, 1, 1e-6);
}

TEST_F(LoraCommands, RunAndBenchTakeTheAdapter) {
  const auto text = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"run", model_, "-p", "the tone", "-n", "12", "--temp", "0"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return outcome.out;
  };
  EXPECT_NE(text({}), text({"--lora", adapter_}));
  const auto planned = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"bench", model_,     "--prefill", "32",    "--decode",
                                    "4",     "--repeat", "1",         "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error;
    return Json::parse(outcome.out)["planned_bytes"].get<uint64_t>();
  };
  EXPECT_GT(planned({"--lora", adapter_}), planned({}));
}

TEST_F(LoraCommands, MergeReplacesOnlyWhatItMay) {
  ASSERT_EQ(run_program(merge({})).exit_code, 0);
  const Outcome exists = run_program(merge({}));
  EXPECT_EQ(exists.exit_code, 2);
  EXPECT_THAT(exists.error, HasSubstr("--force"));
  EXPECT_EQ(run_program(merge({"--force"})).exit_code, 0);
  for (const std::string& input : {model_, adapter_}) {
    const std::string before = read_whole(input);
    const Outcome itself =
        run_program({"merge", model_, "--lora", adapter_, "-o", input, "--force"});
    EXPECT_EQ(itself.exit_code, 2) << itself.error;
    EXPECT_EQ(read_whole(input), before);
  }
}

TEST_F(LoraCommands, WhatIsNoAdapterIsRefusedByName) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"run", model_, "-p", "the"}, {"bench", model_}}) {
    std::vector<std::string> all = command;
    all.insert(all.end(), {"--lora", model_});
    const Outcome outcome = run_program(all);
    EXPECT_EQ(outcome.exit_code, 3) << command.front();
    EXPECT_THAT(outcome.error, HasSubstr("no adapter"));
  }
  EXPECT_EQ(run_program({"eval", model_, text_, "--lora", text_}).exit_code, 3);
  EXPECT_EQ(run_program({"merge", model_, "--lora", text_, "-o", merged_}).exit_code, 3);
  EXPECT_EQ(run_program({"merge", model_, "-o", merged_}).exit_code, 2) << "which adapter?";
  expect_nothing_left();
}

TEST_F(LoraCommands, MergeLeavesNothingWhereItCannotGoOn) {
  Invocation full{merge({})};
  full.most_file_bytes = size_of(model_) / 2;
  EXPECT_EQ(run_program(full).exit_code, 1);
  expect_nothing_left();
  const Outcome small = run_program(merge({"--memory", "1MiB"}));
  EXPECT_EQ(small.exit_code, 4);
  EXPECT_THAT(small.error, HasSubstr("merging needs"));
  expect_nothing_left();
}

}  // namespace
}  // namespace enxuto
