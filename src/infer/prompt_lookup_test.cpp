#include "infer/prompt_lookup.h"

#include <gtest/gtest.h>

#include <random>

#include "plan/session_layout.h"

namespace enxuto {
namespace {

struct Text {
  explicit Text(uint32_t context)
      : memory(context + lookup_heads(context)), lookup(memory, context) {}
  void push(std::initializer_list<Token> some) {
    for (const Token token : some) push(token);
  }
  void push(Token token) {
    tokens.push_back(token);
    lookup.push(tokens);
  }
  void pop() {
    lookup.pop(tokens);
    tokens.pop_back();
  }
  std::vector<Token> guess(uint32_t most) const {
    std::vector<Token> draft;
    lookup.guess(tokens, most, draft);
    return draft;
  }
  std::vector<uint32_t> memory;
  PromptLookup lookup;
  std::vector<Token> tokens;
};

TEST(PromptLookup, TheLongestMatchWinsOfEqualsTheLatest) {
  Text text(64);
  EXPECT_TRUE(text.guess(4).empty());
  text.push({1, 2, 3, 50, 9, 2, 3, 60, 9, 2, 3, 61, 3, 70, 1, 2, 3});
  EXPECT_EQ(text.guess(3), (std::vector<Token>{50, 9, 2}));
  for (int i = 0; i < 3; ++i) text.pop();
  text.push({9, 2, 3});
  EXPECT_EQ(text.guess(2), (std::vector<Token>{61, 3}));
  text.push(99);
  EXPECT_TRUE(text.guess(2).empty());
}

TEST(PromptLookup, GoesOnWithWhatItGuessed) {
  Text text(64);
  text.push({7, 8, 9, 7, 8, 9, 7});
  EXPECT_EQ(text.guess(7), (std::vector<Token>{8, 9, 7, 8, 9, 7, 8}));
  EXPECT_TRUE(text.guess(0).empty());
}

// Against a search of the whole text, while it grows and shrinks.
TEST(PromptLookup, FindsWhatAnExhaustiveSearchFinds) {
  std::mt19937 random(5);
  Text text(300);
  for (int step = 0; step < 3000; ++step) {
    const bool grow = text.tokens.size() < 2 || (text.tokens.size() < 300 && random() % 5 != 0);
    if (grow)
      text.push(static_cast<Token>(random() % 4 * 1000003));
    else
      text.pop();
    const auto& t = text.tokens;
    size_t longest = 0, place = 0;
    for (size_t end = t.size() - 1; end > 0; --end) {
      size_t n = 0;
      while (n < end && n < 32 && t[end - 1 - n] == t[t.size() - 1 - n]) ++n;
      if (n > longest) longest = n, place = end;
    }
    std::vector<Token> draft;
    ASSERT_EQ(text.lookup.guess(t, 1, draft), longest);
    if (longest > 0) {
      ASSERT_EQ(draft[0], t[place]);
    }
  }
}

}  // namespace
}  // namespace enxuto
