#include "data/example.h"

#include <gtest/gtest.h>

#include <string>

namespace enxuto {
namespace {

// What a line says: "TEXT", or "role: content|role: content".
std::string said(std::string_view line) {
  const auto example = parse_example(line);
  if (!example.ok()) {
    EXPECT_EQ(example.status().code(), Code::kBadInput);
    EXPECT_FALSE(example.status().what().empty());
    return "corrupt";
  }
  if (example->empty) return "empty";
  std::string all(example->text);
  for (const ChatMessage& turn : example->turns)
    all += (all.empty() ? "" : "|") + turn.role + ": " + turn.content;
  return all;
}

TEST(Example, IsOfTheFirstKindThatFits) {
  EXPECT_EQ(said(R"({"text": "a\nb \u00e9", "id": 3})"), "a\nb é");
  EXPECT_EQ(said(R"({"messages": [{"role": "system", "content": "s"},
                 {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"),
            "system: s|user: q|assistant: a");
  EXPECT_EQ(said(R"({"prompt": "q", "completion": "a"})"), "user: q|assistant: a");
  EXPECT_EQ(said(R"({"instruction": "q", "input": "i", "output": "a"})"),
            "user: q\ni|assistant: a");
  EXPECT_EQ(said(R"({"instruction": "q", "input": "", "response": "a"})"), "user: q|assistant: a");
  EXPECT_EQ(said(R"({"prompt": "q", "answer": "a", "text": null})"), "user: q|assistant: a");
}

TEST(Example, MayBeEmpty) {
  for (const char* line : {R"({"text": ""})", R"({"text": " \n"})", R"({"messages": []})",
                           R"({"messages": [{"role": "user", "content": "q"}]})",
                           R"({"messages": [{"role": "assistant", "content": " "}]})",
                           R"({"prompt": "q", "completion": ""})"})
    EXPECT_EQ(said(line), "empty") << line;
}

TEST(Example, MayBeCorrupt) {
  for (const char* line :
       {"", "{", "text", "[1]", "3", "{}", R"({"text": 3})", R"({"text": "a)",
        "{\"text\": \"\xff\"}", R"({"text": "\ud800"})", R"({"prompt": "q"})",
        R"({"completion": "a"})", R"({"messages": [3]})", R"({"messages": [{"role": "user"}]})",
        R"({"messages": [{"role": "user", "content": [1]}]})", R"({"text": "a"} {"text": "b"})"})
    EXPECT_EQ(said(line), "corrupt") << line;
}

}  // namespace
}  // namespace enxuto
