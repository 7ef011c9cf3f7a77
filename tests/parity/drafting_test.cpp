// Guessing ahead changes the speed, never the text: rows of logits are those of a session that is
// fed token by token, bit for bit, and what is drawn from them is the same.
#include <gtest/gtest.h>

#include "infer/decoder.h"
#include "infer/sampler.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

const std::vector<Token> kPrompt = {10, 200, 31, 4, 77, 10, 200, 31, 4, 66, 5, 10, 200};

InferenceRequest request_of(uint32_t draft, int n_threads = 1) {
  InferenceRequest request;
  request.context = 96;
  request.batch = 8;
  request.draft = draft;
  request.n_threads = n_threads;
  return request;
}

std::unique_ptr<Session> open(const TemporaryModel& model, const InferenceRequest& request) {
  auto session = Session::open(model.get(), request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  return std::move(session).value();
}

std::vector<float> rows_of(Session& session, std::span<const Token> tokens) {
  const auto rows = session.feed_each(tokens);
  EXPECT_TRUE(rows.ok()) << rows.status().what();
  return rows.ok() ? std::vector<float>(rows->begin(), rows->end()) : std::vector<float>();
}

struct Written {
  std::vector<Token> tokens;
  DecodeStatistics statistics;
};

// As many tokens as the context holds, drawn with this temperature.
Written write(const TemporaryModel& model, const InferenceRequest& request, float temperature,
              uint64_t seed) {
  const auto session = open(model, request);
  Decoder decoder(*session);
  Sampler sampler({.temperature = temperature, .repeat_penalty = 1.05f, .seed = seed});
  auto logits = decoder.prompt(kPrompt);
  Written written;
  while (logits.ok()) {
    const Token token = sampler.sample(*logits);
    sampler.accept(token);
    written.tokens.push_back(token);
    if (decoder.tokens().size() == session->context()) break;
    logits = decoder.step(token, UINT32_MAX);
  }
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  written.statistics = decoder.statistics();
  return written;
}

// Long enough that windows slide; of each pass of eight tokens the last five are wrong, and are
// gone back over.
TEST(Drafting, APassOfManyTokensIsThePassesOfEach) {
  for (const char* architecture :
       {"llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2", "mixtral", "qwen2moe"})
    for (const Type type : {Type::F32, Type::Q8_0, Type::Q4_1}) {
      const TemporaryModel model({.architecture = architecture}, type);
      const int n_threads = type == Type::F32 ? 2 : 1;
      const auto together = open(model, request_of(7, n_threads));
      const auto alone = open(model, request_of(7, n_threads));
      const auto token_at = [](uint32_t position) {
        return static_cast<Token>(position * 7 % 288);
      };
      for (uint32_t position = 0; position + 8 <= 96; position += 3) {
        std::vector<Token> tokens;
        for (uint32_t i = 0; i < 8; ++i)
          tokens.push_back(i < 3 ? token_at(position + i) : static_cast<Token>(position + 2 * i));
        ASSERT_EQ(together->rewind(position), position) << architecture;
        auto rows = rows_of(*together, tokens);
        std::vector<float> expected;
        for (uint32_t i = 0; i < 3; ++i) {
          const auto row = rows_of(*alone, {&tokens[i], 1});
          expected.insert(expected.end(), row.begin(), row.end());
        }
        rows.resize(expected.size());
        ASSERT_EQ(rows, expected) << architecture << " " << find_codec(type)->name << " at "
                                  << position;
      }
    }
}

TEST(Drafting, WritesTheSameText) {
  uint64_t accepted = 0, rejected = 0;
  for (const char* architecture :
       {"llama", "qwen2", "qwen3", "gemma3", "deci", "gpt2", "mixtral", "qwen2moe"})
    for (const Type type : {Type::Q8_0}) {
      const TemporaryModel model({.architecture = architecture}, type);
      for (const float temperature : {0.0f, 0.2f, 0.8f})
        for (const uint64_t seed : {1, 2}) {
          const Written plain = write(model, request_of(0), temperature, seed);
          EXPECT_EQ(plain.statistics.passes, plain.statistics.steps);
          for (const uint32_t draft : {3u, 50u}) {  // 50: more than a pass holds
            InferenceRequest request = request_of(draft);
            if (draft == 3) request.memory_bytes = 1;  // streamed as far as can be
            const Written drafted = write(model, request, temperature, seed);
            EXPECT_EQ(drafted.tokens, plain.tokens)
                << architecture << " " << temperature << " " << draft;
            EXPECT_LE(drafted.statistics.passes, plain.statistics.passes);
            accepted += drafted.statistics.accepted;
            rejected += drafted.statistics.drafted - drafted.statistics.accepted;
          }
        }
    }
  EXPECT_GT(accepted, 50u);
  EXPECT_GT(rejected, 50u);
}

TEST(Drafting, LeavesNoGuessBehind) {
  const TemporaryModel model({.architecture = "gemma3"}, Type::Q8_0);
  const auto session = open(model, request_of(7));
  Decoder decoder(*session);
  auto logits = decoder.prompt(kPrompt);
  for (const Token token : {31, 4, 77, 10})  // what the prompt says, so that guesses are at hand
    logits = decoder.step(token, UINT32_MAX);
  ASSERT_TRUE(logits.ok());
  const auto held = static_cast<uint32_t>(decoder.tokens().size());
  EXPECT_EQ(held, kPrompt.size() + 4);
  EXPECT_EQ(decoder.rewind(held), held);
  EXPECT_EQ(session->n_tokens(), held);
  // Fewer guesses than are still wanted, none at the end.
  EXPECT_TRUE(decoder.step(200, 0).ok());
  EXPECT_EQ(session->n_tokens(), held + 1);
  // A token that the model does not have ends in an error, and the sequence stays.
  EXPECT_EQ(decoder.step(-1, 7).status().code(), Code::kBadInput);
  EXPECT_EQ(decoder.tokens().size(), held + 1);
  EXPECT_TRUE(decoder.step(31, 7).ok());
}

}  // namespace
}  // namespace enxuto
