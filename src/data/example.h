// One object of JSON lines: a text, or the turns of a conversation. tokenize.h lists the kinds.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/json.h"
#include "tokenizer/chat.h"

namespace enxuto {

struct Example {
  Json json;                       // what `text` points into
  std::string_view text;           // where there are no turns
  std::vector<ChatMessage> turns;  // learned: what the role "assistant" says
  bool empty = false;              // nothing in it to learn
};

// kBadInput where the line is no sound JSON or UTF-8, or no object of a known kind; the error says
// why, and names no file.
Result<Example> parse_example(std::string_view line);

}  // namespace enxuto
