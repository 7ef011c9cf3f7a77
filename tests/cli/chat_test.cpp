// The conversation, on a terminal of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "inputs.h"
#include "program.h"

namespace enxuto {
namespace {

using testing::HasSubstr;

class Chat : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }
  Outcome talk(const std::vector<std::string>& typed) const {
    return run_on_terminal({"run", model_, "-n", "8", "-c", "256", "--temp", "0"}, "> ", typed);
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf");
};

TEST_F(Chat, AnswersUntilItIsToldToLeave) {
  const Outcome outcome = talk({"eat the tea\n", "/help\n", "/clear\n", "/nonsense\n", "/exit\n"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("forget the conversation"));
  EXPECT_THAT(outcome.out, HasSubstr("no such command"));
}

TEST_F(Chat, EndsWithTheInput) { EXPECT_EQ(talk({"\x04"}).exit_code, 0); }

TEST_F(Chat, CtrlCAtThePromptEndsIt) { EXPECT_EQ(talk({"\x03"}).exit_code, 130); }

TEST_F(Chat, AQuestionLongerThanTheContextIsNoEnd) {
  const Outcome outcome = talk({sample_text(400) + "\n", "/exit\n"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("/clear starts afresh"));
}

}  // namespace
}  // namespace enxuto
