#include "data/example.h"

#include <algorithm>
#include <optional>
#include <string>

#include "data/text_files.h"

namespace enxuto {
namespace {

constexpr std::string_view kPromptKeys[] = {"prompt", "instruction"};
constexpr std::string_view kAnswerKeys[] = {"completion", "response", "output", "answer"};
constexpr std::string_view kAssistant = "assistant";

template <size_t n>
std::optional<std::string_view> string_at_any(JsonElement from, const std::string_view (&keys)[n]) {
  for (const std::string_view key : keys)
    if (const auto text = json_string(from, key)) return text;
  return std::nullopt;
}

Status unusable(std::string why) { return Status::bad_input(std::move(why)); }

Result<std::vector<ChatMessage>> turns_of(simdjson::dom::array messages) {
  std::vector<ChatMessage> turns;
  for (const JsonElement message : messages) {
    const auto role = json_string(message, "role"), content = json_string(message, "content");
    if (!role || !content) return unusable("a message without a role and a content that are texts");
    turns.push_back({std::string(*role), std::string(*content)});
  }
  return turns;
}

// A prompt, with its input under it, and an answer.
std::vector<ChatMessage> turns_of(std::string_view prompt, std::optional<std::string_view> input,
                                  std::string_view answer) {
  std::string question(prompt);
  if (input && !is_blank(*input)) question.append("\n").append(*input);
  return {{"user", std::move(question)}, {std::string(kAssistant), std::string(answer)}};
}

bool says_nothing(const std::vector<ChatMessage>& turns) {
  return std::ranges::all_of(turns, [](const ChatMessage& turn) {
    return turn.role != kAssistant || is_blank(turn.content);
  });
}

}  // namespace

Result<Example> parse_example(std::string_view line) {
  ASSIGN_OR_RETURN(Json json, Json::parse(line));
  Example example{std::move(json), {}, {}};
  const JsonElement root = example.json.root;
  if (const auto text = json_string(root, "text")) {
    example.text = *text;
    example.empty = is_blank(*text);
    return example;
  }
  if (const auto messages = json_array(root, "messages")) {
    ASSIGN_OR_RETURN(example.turns, turns_of(*messages));
  } else {
    const auto prompt = string_at_any(root, kPromptKeys), answer = string_at_any(root, kAnswerKeys);
    if (!prompt || !answer)
      return unusable("neither a text, nor messages, nor a prompt with its answer");
    example.turns = turns_of(*prompt, json_string(root, "input"), *answer);
  }
  example.empty = says_nothing(example.turns);
  return example;
}

}  // namespace enxuto
