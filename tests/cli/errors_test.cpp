// What goes wrong outside the program: one line what, one line what to do, and the exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "inputs.h"
#include "program.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using testing::HasSubstr;

class Errors : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }

  // One error of at most two lines, and nothing on standard output.
  static Outcome expect_error(int exit_code, const Invocation& invocation) {
    const Outcome outcome = run_program(invocation);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.error.substr(0, 8), "enxuto: ");
    EXPECT_LE(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 2) << outcome.error;
    return outcome;
  }
  static Outcome expect_error(int exit_code, std::vector<std::string> arguments) {
    return expect_error(exit_code, Invocation{std::move(arguments)});
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf");
};

TEST_F(Errors, WrongUseExits2) {
  expect_error(2, std::vector<std::string>());
  expect_error(2, {"shrink", model_});
  expect_error(2, {"inspect"});
  expect_error(2, {"inspect", model_, "--no-such-option"});
  expect_error(2, {"plan", model_, "--memory", "banana"});
  expect_error(2, {"plan", model_, "--memory", "0"});
  expect_error(2, {"plan", model_, "--context", "-5"});
  expect_error(2, {"plan", model_, "--for", "flying"});
  expect_error(2, {"run", model_, "-p", "x", "--temp", "nan"});
  expect_error(2, {"run", model_, "-p", "x", "-t", "0"});
  expect_error(2, {"run", model_, "-p", "x", "--top-p", "1.5"});
  expect_error(2, {"run", model_, "-p", "x", "--stop", ""});
  expect_error(2, {"run", model_, "-p", "x", "--seed", "many"});
  expect_error(2, {"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "12XB"});
}

TEST_F(Errors, AMissingModelExits3) {
  for (const char* command : {"inspect", "plan", "run", "bench"}) {
    const Outcome outcome = expect_error(3, Invocation{{command, scratch_.path("none.gguf")}, "x"});
    EXPECT_THAT(outcome.error, HasSubstr("none.gguf"));
  }
  scratch_.write("empty.gguf", "");
  expect_error(3, {"inspect", scratch_.path("empty.gguf")});
  scratch_.write("picture.gguf", "\x89PNG\r\n and so on, for more than a header's length");
  expect_error(3, {"inspect", scratch_.path("picture.gguf")});
}

TEST_F(Errors, ATruncatedModelExits3WhereverItIsCut) {
  const std::string whole = read_whole(model_);
  for (const double share : {0.0001, 0.001, 0.01, 0.5, 0.9999}) {
    const auto size = static_cast<size_t>(static_cast<double>(whole.size()) * share);
    scratch_.write("cut.gguf", whole.substr(0, size));
    expect_error(3, {"run", scratch_.path("cut.gguf"), "-p", "x"});
  }
}

TEST_F(Errors, AModelWithoutNumbersExits3AndItsTensorIsNamed) {
  const std::string text = scratch_.write("text.txt", sample_text(6000));
  for (const std::string name : {"blk.1.ffn_norm.weight", "blk.1.ffn_down.weight"}) {
    TinyModel damaged = tiny_model({});
    damaged.find(name)->values[5] = NAN;
    ASSERT_TRUE(write_tiny_gguf(damaged, Type::F32, model_).ok());
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"run", model_, "-p", "the"},
          {"eval", model_, text},
          {"bench", model_},
          {"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "300K"}})
      EXPECT_THAT(expect_error(3, arguments).error, HasSubstr("tensor " + name));
  }
}

TEST_F(Errors, EmptyAndBinaryTextsExit3) {
  const std::string empty = scratch_.write("empty.txt", ""), blank = scratch_.write("b.txt", " \n");
  for (const std::string& text : {empty, blank, model_, scratch_.path("none.txt")}) {
    expect_error(3, {"eval", model_, text});
    expect_error(3, {"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "300K",
                     "--calibration", text});
  }
  expect_error(3, {"eval", model_, scratch_.write("short.txt", "too short")});
  expect_error(3, Invocation{{"run", model_}, ""});
  expect_error(3, Invocation{{"run", model_}, std::string("a\0b", 3)});
}

TEST_F(Errors, WhatDoesNotFitExits4) {
  const std::string text = scratch_.write("text.txt", sample_text(3000));
  expect_error(4, {"run", model_, "-p", "x", "--memory", "1M"});
  expect_error(4, {"bench", model_, "--memory", "1M"});
  expect_error(4, {"eval", model_, text, "--memory", "1M"});
  const Outcome outcome =
      expect_error(4, {"run", model_, "-p", sample_text(600), "--context", "64"});
  EXPECT_THAT(outcome.error, HasSubstr("context"));
}

TEST_F(Errors, AFullOutputIsNoticed) {
  for (std::vector<std::string> arguments :
       {std::vector<std::string>{"inspect", model_, "--json", "--tensors"},
        {"run", model_, "-p", "the", "-n", "8"}}) {
    const Outcome outcome =
        run_program(Invocation{.arguments = arguments, .output_file = "/dev/full"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.error, HasSubstr("cannot write the output"));
  }
}

}  // namespace
}  // namespace enxuto
