// JSON by a schema: what may be written, against Python's jsonschema; and what random models write.
#include "media/json_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

namespace enxuto {
namespace {

using json = nlohmann::ordered_json;  // properties are written in the schema's order
using testing::HasSubstr;

const json& cases() {
  static const json all = json::parse(
      std::ifstream(std::string(ENXUTO_SOURCE_DIR) + "/src/media/testdata/json_schema.json"));
  return all;
}

// SentencePiece's: all bytes, and these.
Metadata vocabulary_of(const std::vector<std::string>& pieces, int first_byte = 0) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int i = first_byte; i < 256; ++i) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(i));
    tokens.emplace_back(text), types.push_back(6);
  }
  for (const std::string& piece : pieces) tokens.push_back(piece), types.push_back(1);
  Metadata metadata;
  metadata.set_string("tokenizer.ggml.model", "llama");
  metadata.set_strings("tokenizer.ggml.tokens", {tokens.begin(), tokens.end()});
  metadata.set_f32s("tokenizer.ggml.scores", std::vector<float>(tokens.size(), 0.f));
  metadata.set_i32s("tokenizer.ggml.token_type", types);
  metadata.set_u32("tokenizer.ggml.bos_token_id", 1);
  metadata.set_u32("tokenizer.ggml.eos_token_id", 2);
  return metadata;
}

// Tokens that cross the structure of JSON, and characters.
const Metadata& crossing_vocabulary() {
  // clang-format off
  static const Metadata metadata = vocabulary_of(
      {"{\"", "\":", "\": \"", "\",", "\", \"", "\"}", "},▁{\"", "[]", "[[", "]]", "]}", ",▁", "▁",
       "▁\"", "name", "age", "{\"name\":▁\"", "\"]", "true", "false}", "null", "nul", "l,", "12",
       "345", "0.5", "-1", "é", "é\"", "日", "日本\"}", "😀", "\xF0\x9F", "\x98\x80\"", "abc", "ab\",",
       "\\", "\\\"", "\\n\"", "n\"", "▁▁▁▁▁▁▁▁", "a\",▁\"b", "value\":▁1", "children\":▁[{\"value"});
  // clang-format on
  return metadata;
}

// An oracle of a few lines: whether a value keeps a schema of cases().
bool keeps(const json& value, const json& schema, const json& root) {
  if (schema.contains("$ref")) {
    const std::string ref = schema["$ref"].get<std::string>().substr(1);
    return keeps(value, root.at(json::json_pointer(ref)), root);
  }
  const auto any = [&](const json& list, auto holds) {
    return std::any_of(list.begin(), list.end(), holds);
  };
  if (schema.contains("anyOf"))
    return any(schema["anyOf"], [&](const json& each) { return keeps(value, each, root); });
  if (schema.contains("const")) return value == schema["const"];
  if (schema.contains("enum") && !any(schema["enum"], [&](const json& v) { return v == value; }))
    return false;
  const auto is = [&](const std::string& type) {
    if (type == "integer") return value.is_number() && std::floor(value.get<double>()) == value;
    if (type == "number") return value.is_number();
    if (type == "string") return value.is_string();
    return type == value.type_name();
  };
  if (schema.contains("type")) {
    const json& type = schema["type"];
    if (type.is_string() ? !is(type) : !any(type, [&](const json& t) { return is(t); }))
      return false;
  }
  if (schema.contains("enum")) return true;
  const auto at = [&](const char* key, double otherwise) { return schema.value(key, otherwise); };
  const auto within = [&](double x, const char* low, const char* high) {
    return x >= at(low, -1e300) && x <= at(high, 1e300);
  };
  if (value.is_number()) {
    const double x = value;
    return within(x, "minimum", "maximum") && x > at("exclusiveMinimum", -1e300) &&
           x < at("exclusiveMaximum", 1e300);
  }
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    const auto n =
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    return within(static_cast<double>(n), "minLength", "maxLength");
  }
  if (value.is_array())
    return within(static_cast<double>(value.size()), "minItems", "maxItems") &&
           std::all_of(value.begin(), value.end(),
                       [&](const json& item) { return keeps(item, schema["items"], root); });
  if (!value.is_object()) return true;
  for (const json& name : schema.value("required", json::array()))
    if (!value.contains(name)) return false;
  for (const auto& [name, item] : value.items())
    if (!schema.contains("properties") || !schema["properties"].contains(name) ||
        !keeps(item, schema["properties"][name], root))
      return false;
  return true;
}

class JsonRulesTest : public testing::Test {
 protected:
  std::unique_ptr<JsonRules> rules_of(const json& schema) {
    auto rules = JsonRules::create(schema.dump(), *tokenizer_);
    EXPECT_TRUE(rules.ok()) << schema << rules.status().what();
    return rules.ok() ? std::move(*rules) : nullptr;
  }
  // What a model of random logits writes.
  std::string write(JsonRules& rules, uint64_t most, std::mt19937& random) {
    std::string text;
    rules.begin(most);
    for (uint64_t n = 0;; ++n) {
      std::vector<Token> may;
      rules.allowed().for_each([&](Token token) { may.push_back(token); });
      if (may.empty()) return text;
      const Token token = may[random() % may.size()];
      if (n == most) {
        EXPECT_TRUE(rules.accepts(text)) << "no room left after " << text;
        return text;
      }
      rules.accept(token);
      text += tokenizer_->piece(token);
      EXPECT_TRUE(rules.begins(text)) << text;
      if (tokenizer_->ends_generation(token)) return text;
    }
  }
  static Status refused(const json& schema) { return JsonGrammar::create(schema.dump()).status(); }

  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::create(crossing_vocabulary()).value();
};

TEST_F(JsonRulesTest, DocumentsAreThoseThatJsonschemaAccepts) {
  size_t checked = 0;
  for (const json& each : cases()) {
    const auto rules = rules_of(each["schema"]);
    ASSERT_TRUE(rules);
    for (const json& document : each["documents"]) {
      const auto text = document[0].get<std::string>();
      EXPECT_EQ(rules->accepts(text), document[1].get<bool>()) << each["schema"] << "  " << text;
      const size_t prefixes = document[1] ? text.size() : 0;
      for (size_t n = 0; n < prefixes; ++n)
        EXPECT_TRUE(rules->begins(text.substr(0, n))) << text.substr(0, n);
      ++checked;
    }
  }
  EXPECT_GT(checked, 500u);
}

TEST_F(JsonRulesTest, WhatRandomModelsWriteKeepsTheSchema) {
  std::mt19937 random(5);
  for (const json& each : cases()) {
    const json& schema = each["schema"];
    const auto rules = rules_of(schema);
    ASSERT_TRUE(rules);
    for (int i = 0; i < 40; ++i) {
      const uint64_t fewest = rules->fewest_tokens(), most = fewest + random() % (i % 4 ? 12 : 60);
      const std::string text = write(*rules, most, random);
      const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
      ASSERT_FALSE(value.is_discarded()) << schema << "\n" << text;
      EXPECT_TRUE(keeps(value, schema, schema)) << schema << "\n" << text;
      EXPECT_TRUE(rules->accepts(text)) << text;
    }
  }
}

TEST_F(JsonRulesTest, TheFewestTokensAreEnoughAndNoMore) {
  std::mt19937 random(1);
  const auto rules = rules_of({{"type", "object"},
                               {"properties", {{"name", {{"type", "string"}}}}},
                               {"required", {"name"}}});
  EXPECT_EQ(rules->fewest_tokens(), 2u);  // {"name": "  and  "}
  std::set<std::string> written;
  for (int i = 0; i < 50; ++i) written.insert(write(*rules, 2, random));
  EXPECT_THAT(written, testing::ElementsAre("{\"name\": \"\"}", "{\"name\": \"日本\"}"));
}

TEST_F(JsonRulesTest, EveryChoiceOfAnEnumCanBeWritten) {
  std::mt19937 random(2);
  const json schema = {{"enum", {"a", "ab", "abc", "é", "true"}}};
  const auto rules = rules_of(schema);
  std::set<std::string> written;
  for (int i = 0; i < 300; ++i) written.insert(write(*rules, 20, random));
  EXPECT_THAT(written, testing::ElementsAre("\"a\"", "\"ab\"", "\"abc\"", "\"true\"", "\"é\""));
}

TEST_F(JsonRulesTest, TokensAllowedAreExactlyThoseThatGoOn) {
  std::mt19937 random(3);
  for (const json& each : cases()) {
    const auto rules = rules_of(each["schema"]);
    rules->begin(1000);
    std::string text;
    for (int n = 0; n < 12; ++n) {
      const TokenSet allowed = rules->allowed();
      std::vector<Token> may;
      for (Token token = 0; token < static_cast<Token>(allowed.vocabulary()); ++token) {
        const bool ends = tokenizer_->ends_generation(token);
        const std::string piece = tokenizer_->piece(token);
        if (ends) continue;
        const bool goes_on = !piece.empty() && rules->begins(text + piece);
        EXPECT_EQ(allowed.contains(token), goes_on) << text << "|" << piece;
        if (goes_on) may.push_back(token);
      }
      const bool may_end = rules->accepts(text);  // and must where nothing goes on
      EXPECT_TRUE(may.empty() || allowed.contains(tokenizer_->eos()) == may_end) << text;
      EXPECT_TRUE(!may.empty() || may_end) << text;
      if (may.empty()) break;
      const Token next = may[random() % may.size()];
      rules->accept(next);
      text += tokenizer_->piece(next);
    }
  }
}

TEST_F(JsonRulesTest, NestingIsBounded) {
  const json schema = {{"type", "array"}, {"items", {{"$ref", "#"}}}};
  const auto rules = rules_of(schema);
  EXPECT_TRUE(rules->accepts(std::string(64, '[') + std::string(64, ']')));
  EXPECT_FALSE(rules->begins(std::string(65, '[')));
}

TEST_F(JsonRulesTest, SaysWhichKeywordItDoesNotKnowAndWhere) {
  const json pattern = {{"type", "object"},
                        {"properties", {{"a/b", {{"type", "string"}, {"pattern", "x"}}}}}};
  EXPECT_THAT(refused(pattern).what(), HasSubstr("#/properties/a~1b/pattern"));
  EXPECT_THAT(refused(pattern).what(), HasSubstr("\"pattern\" is not supported"));
  EXPECT_EQ(refused(pattern).code(), Code::kBadInput);
  const json map = {{"type", "object"}, {"additionalProperties", {{"type", "string"}}}};
  EXPECT_THAT(refused(map).what(), HasSubstr("additionalProperties"));
}

TEST_F(JsonRulesTest, RefusesSchemasWithoutDocuments) {
  for (const char* text :
       {"", "3", "true", "{}", R"({"type":"strange"})", R"({"$ref":"#"})", R"({"$ref":"#/no"})",
        R"({"anyOf":[]})", R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})",
        R"({"type":"array","items":{"$ref":"#"},"minItems":1})", R"({"type":"array"})",
        R"({"type":"integer","minimum":2,"maximum":1})", R"({"type":"string","enum":[1]})",
        R"({"type":"integer","exclusiveMinimum":1,"exclusiveMaximum":2})",
        R"({"type":"object","properties":{},"required":["a"]})",
        R"({"type":"string","minLength":3,"maxLength":2})",
        R"({"type":"string","minLength":1000000})", R"({"type":"string","type":"null"})",
        R"({"enum":["\ud800"]})"}) {
    const auto grammar = JsonGrammar::create(text);
    ASSERT_FALSE(grammar.ok()) << text;
    EXPECT_EQ(grammar.status().code(), Code::kBadInput) << text;
  }
}

TEST_F(JsonRulesTest, RefusesHugeSchemas) {
  // Each level twice the one below: 2^20 bytes at least.
  json schema = {{"$defs", {{"n0", {{"type", "null"}}}}}};
  for (int i = 1; i <= 20; ++i) {
    const json below = {{"$ref", "#/$defs/n" + std::to_string(i - 1)}};
    schema["$defs"]["n" + std::to_string(i)] = {
        {"type", "object"}, {"properties", {{"a", below}, {"b", below}}}, {"required", {"a", "b"}}};
  }
  schema["$ref"] = "#/$defs/n20";
  EXPECT_THAT(refused(schema).what(), HasSubstr("shortest document"));
  json deep = {{"type", "null"}};
  for (int i = 0; i < 100; ++i) deep = {{"type", "array"}, {"items", deep}, {"minItems", 1}};
  EXPECT_THAT(refused(deep).what(), HasSubstr("deep"));
}

TEST_F(JsonRulesTest, StringsStaySoundWhereBytesAreMissing) {
  // Of bytes only those from F0: no other can follow the one that begins a character.
  const Metadata metadata = vocabulary_of({"\"", "a", "é", "\xC3", "[", "]"}, 0xF0);
  tokenizer_ = Tokenizer::create(metadata).value();
  const auto rules = rules_of({{"type", "string"}});
  std::mt19937 random(4);
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(rules->accepts(write(*rules, 2 + random() % 20, random)));
  const auto numbers = JsonRules::create(R"({"type":"integer"})", *tokenizer_);
  ASSERT_FALSE(numbers.ok());
  EXPECT_EQ(numbers.status().code(), Code::kBadInput);
}

}  // namespace
}  // namespace enxuto
