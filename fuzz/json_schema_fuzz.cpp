// Schemas of any bytes: each is refused, or has a shortest document that it accepts; and whatever
// is written under its rules, within any number of tokens, is sound JSON that it accepts.
#include <simdjson.h>

#include <string>

#include "fuzz.h"
#include "media/json_rules.h"
#include "media/media_vocabulary.h"

namespace enxuto {
namespace {

using fuzz::require;

const Tokenizer& bytes() {
  static const Metadata metadata = byte_vocabulary().value();
  static const auto tokenizer = Tokenizer::create(metadata).value();
  return *tokenizer;
}

// Of what is allowed, the one that the choice falls on.
Token choose(const TokenSet& allowed, uint32_t choice) {
  std::vector<Token> tokens;
  allowed.for_each([&](Token token) { tokens.push_back(token); });
  return tokens[choice % tokens.size()];
}

std::string written(JsonRules& rules, uint64_t most, uint32_t choices) {
  std::string text;
  rules.begin(most);
  for (uint64_t n = 0; n < most && !rules.allowed().empty(); ++n) {
    const Token token = choose(rules.allowed(), choices = choices * 1664525 + 1013904223);
    if (bytes().ends_generation(token)) break;
    rules.accept(token);
    text += bytes().piece(token);
  }
  return text;
}

void check(JsonRules& rules, const std::string& text) {
  simdjson::dom::parser parser;
  require(rules.accepts(text), "a document of the schema");
  require(!parser.parse(text).error(), "sound JSON");
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  fuzz::Input input(data, size);
  const uint32_t choices = input.byte() | static_cast<uint32_t>(input.byte()) << 8;
  const auto schema = input.rest();
  const auto rules =
      JsonRules::create({reinterpret_cast<const char*>(schema.data()), schema.size()}, bytes());
  if (!rules.ok()) {
    fuzz::require(rules.status().code() == Code::kBadInput, "kBadInput");
    return 0;
  }
  const uint64_t fewest = (*rules)->fewest_tokens();
  if (fewest > 200) return 0;
  check(**rules, written(**rules, fewest, choices));
  check(**rules, written(**rules, fewest + choices % 64, choices));
  return 0;
}
