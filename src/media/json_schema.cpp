// Compiles a schema into a grammar.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "formats/json.h"
#include "media/json_grammar.h"
#include "media/json_schema_values.h"

namespace enxuto {
namespace {

constexpr size_t kMostSchemaBytes = size_t{1} << 20;
constexpr size_t kMostNodes = size_t{1} << 14;
constexpr size_t kMostChoices = 1000;         // of an enum, properties of an object
constexpr uint64_t kMostLeast = 4096;         // minItems, minLength
constexpr uint64_t kMostShortest = 64 << 10;  // bytes of the shortest document
constexpr int kMostSchemaDepth = 256;

constexpr std::string_view kAnnotations[] = {
    "$schema", "$id",     "$comment", "$defs",    "definitions", "title",     "description",
    "default", "example", "examples", "readOnly", "writeOnly",   "deprecated"};

struct TypeKeywords {
  std::string_view type;
  std::vector<std::string_view> keywords;
};
const TypeKeywords kTypes[] = {
    {"object", {"properties", "required", "additionalProperties"}},
    {"array", {"items", "minItems", "maxItems"}},
    {"string", {"minLength", "maxLength"}},
    {"integer", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
    {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
    {"boolean", {}},
    {"null", {}}};

const TypeKeywords* find_type(std::string_view name) {
  const auto* found = std::ranges::find(kTypes, name, &TypeKeywords::type);
  return found == std::end(kTypes) ? nullptr : found;
}

}  // namespace

class JsonSchemaCompiler {
 public:
  explicit JsonSchemaCompiler(JsonElement root) : root_(root) {}

  Result<JsonGrammar> compile() {
    ASSIGN_OR_RETURN(grammar_.root_, reference("#", "#"));
    for (const auto& [name, node] : references_)
      if (!grammar_.is_sound(node))
        return wrong_schema(name, "refers to itself, and to nothing else");
    grammar_.measure();
    const JsonNode& root = grammar_[grammar_.root_];
    if (root.bytes >= JsonNode::kNoEnd)
      return wrong_schema("#", "no document that ends can keep it");
    if (root.bytes > kMostShortest)
      return wrong_schema("#", fmt::format("its shortest document has {} bytes", root.bytes));
    if (root.depth > kMostNesting)
      return wrong_schema("#", fmt::format("documents nest deeper than {}", kMostNesting));
    return std::move(grammar_);
  }

 private:
  using Kind = JsonNode::Kind;

  Result<uint32_t> add(JsonNode node, const std::string& at) {
    if (nodes().size() >= kMostNodes) return wrong_schema(at, "the schema is too large");
    nodes().push_back(std::move(node));
    return static_cast<uint32_t>(nodes().size() - 1);
  }
  Result<uint32_t> text(std::string bytes, const std::string& at) {
    return add({.kind = Kind::kText, .text = std::move(bytes)}, at);
  }
  Result<uint32_t> choice(std::vector<uint32_t> children, const std::string& at) {
    if (children.size() == 1) return children[0];
    if (children.size() > kMostChoices)
      return wrong_schema(at, fmt::format("more than {} choices", kMostChoices));
    return add({.kind = Kind::kChoice, .children = std::move(children)}, at);
  }
  std::vector<JsonNode>& nodes() { return grammar_.nodes_; }

  Result<uint32_t> schema(JsonElement from, const std::string& at) {
    if (depth_ >= kMostSchemaDepth) return wrong_schema(at, "nests too deep");
    ++depth_;
    auto node = schema_here(from, at);
    --depth_;
    return node;
  }

  Result<uint32_t> schema_here(JsonElement from, const std::string& at) {
    simdjson::dom::object object;
    if (from.get(object)) return wrong_schema(at, "is no object that says a type");
    const auto has = [&](std::string_view key) { return !object.at_key(key).error(); };
    if (has("$ref")) return ref(object, at);
    if (has("anyOf")) return any_of(object, at);
    if (has("const") || has("enum")) return values(object, at);
    if (!has("type")) return wrong_schema(at, "says neither type, enum, const, anyOf nor $ref");
    return typed(object, at);
  }

  static Status check_keywords(simdjson::dom::object object, const std::string& at,
                               const std::set<std::string_view>& known) {
    std::set<std::string_view> seen;
    for (const auto field : object) {
      if (!seen.insert(field.key).second)
        return wrong_schema(below(at, field.key), "is there twice");
      if (std::ranges::find(kAnnotations, field.key) == std::end(kAnnotations) &&
          !known.contains(field.key))
        return wrong_schema(below(at, field.key),
                            fmt::format("the keyword \"{}\" is not supported here", field.key));
    }
    return {};
  }

  Result<uint32_t> ref(simdjson::dom::object object, const std::string& at) {
    TRY(check_keywords(object, at, {"$ref"}));
    const auto name = at_key<std::string_view>(object, "$ref");
    if (!name || !name->starts_with('#')) return wrong_schema(below(at, "$ref"), "is no \"#/…\"");
    return reference(std::string(*name), at);
  }

  // A place that others refer to: it may refer to itself.
  Result<uint32_t> reference(const std::string& name, const std::string& at) {
    if (const auto known = references_.find(name); known != references_.end()) return known->second;
    JsonElement target;
    const std::string pointer = name.substr(1);
    if (pointer.empty())
      target = root_;
    else if (root_.at_pointer(pointer).get(target))
      return wrong_schema(below(at, "$ref"), fmt::format("there is no {}", name));
    ASSIGN_OR_RETURN(const uint32_t node, add({.kind = Kind::kChoice}, at));
    references_[name] = node;
    ASSIGN_OR_RETURN(const uint32_t child, schema(target, name));
    nodes()[node].children = {child};
    return node;
  }

  Result<uint32_t> any_of(simdjson::dom::object object, const std::string& at) {
    TRY(check_keywords(object, at, {"anyOf"}));
    const auto options = at_key<simdjson::dom::array>(object, "anyOf");
    const std::string place = below(at, "anyOf");
    if (!options || options->size() == 0) return wrong_schema(place, "is no list of schemas");
    std::vector<uint32_t> children;
    for (const JsonElement each : *options) {
      ASSIGN_OR_RETURN(const uint32_t child,
                       schema(each, below(place, std::to_string(children.size()))));
      children.push_back(child);
    }
    return choice(std::move(children), place);
  }

  Result<uint32_t> values(simdjson::dom::object object, const std::string& at) {
    TRY(check_keywords(object, at, {"const", "enum", "type"}));
    ASSIGN_OR_RETURN(const auto types, types_of(object, at));
    JsonElement single;
    const bool is_const = !object.at_key("const").get(single);
    const auto list = at_key<simdjson::dom::array>(object, "enum");
    if (!is_const && !list) return wrong_schema(below(at, "enum"), "is no list of values");
    if (is_const && !object.at_key("enum").error())
      return wrong_schema(below(at, "enum"), "the keyword \"enum\" is not supported beside const");
    std::set<std::string> texts;
    std::vector<uint32_t> children;
    const auto add_value = [&](JsonElement value) -> Status {
      const auto fits = [&](std::string_view type) { return is_of_type(value, type); };
      std::string written;
      write_value(value, written);
      if (!types.empty() && std::ranges::none_of(types, fits)) return {};
      if (!texts.insert(written).second) return {};
      ASSIGN_OR_RETURN(const uint32_t child, text(written, at));
      children.push_back(child);
      return {};
    };
    if (is_const) TRY(add_value(single));
    if (!is_const)
      for (const JsonElement each : *list) TRY(add_value(each));
    if (children.empty()) return wrong_schema(at, "no value is of the type");
    return choice(std::move(children), at);
  }

  static Result<std::vector<std::string_view>> types_of(simdjson::dom::object object,
                                                        const std::string& at) {
    std::vector<std::string_view> types;
    if (object.at_key("type").error()) return types;
    const auto unknown = [&] {
      return wrong_schema(below(at, "type"), "is no type that JSON has");
    };
    if (const auto one = at_key<std::string_view>(object, "type")) {
      types.push_back(*one);
    } else {
      const auto several = at_key<simdjson::dom::array>(object, "type");
      if (!several || several->size() == 0) return unknown();
      for (const JsonElement each : *several) {
        std::string_view name;
        if (each.get(name)) return unknown();
        types.push_back(name);
      }
    }
    for (const std::string_view type : types)
      if (!find_type(type)) return unknown();
    return types;
  }

  Result<uint32_t> typed(simdjson::dom::object object, const std::string& at) {
    ASSIGN_OR_RETURN(const auto types, types_of(object, at));
    std::set<std::string_view> known = {"type"};
    for (const std::string_view type : types)
      known.insert(find_type(type)->keywords.begin(), find_type(type)->keywords.end());
    TRY(check_keywords(object, at, known));
    std::vector<uint32_t> children;
    for (const std::string_view type : types) {
      ASSIGN_OR_RETURN(const uint32_t child, of_type(type, object, at));
      children.push_back(child);
    }
    return choice(std::move(children), at);
  }

  Result<uint32_t> of_type(std::string_view type, simdjson::dom::object object,
                           const std::string& at) {
    if (type == "object") return object_node(object, at);
    if (type == "array") return array_node(object, at);
    if (type == "string") return counted(object, at, "minLength", "maxLength", {Kind::kChars});
    if (type == "integer") return number_node(object, at, 0);
    if (type == "number") return number_node(object, at, 6);
    if (type == "null") return text("null", at);
    ASSIGN_OR_RETURN(const uint32_t yes, text("true", at));
    ASSIGN_OR_RETURN(const uint32_t no, text("false", at));
    return choice({yes, no}, at);
  }

  static Result<uint64_t> count(simdjson::dom::object object, const std::string& at,
                                const char* key, uint64_t otherwise) {
    if (object.at_key(key).error()) return otherwise;
    const auto number = at_key<double>(object, key);
    if (!number || *number < 0 || *number > 1e15 || std::floor(*number) != *number)
      return wrong_schema(below(at, key), "is no count");
    return static_cast<uint64_t>(*number);
  }

  Result<uint32_t> counted(simdjson::dom::object object, const std::string& at, const char* least,
                           const char* most, JsonNode node) {
    ASSIGN_OR_RETURN(node.least, count(object, at, least, 0));
    ASSIGN_OR_RETURN(node.most, count(object, at, most, kNoLimit));
    if (node.least > kMostLeast)
      return wrong_schema(below(at, least),
                          fmt::format("more than {} is not supported", kMostLeast));
    if (node.least > node.most)
      return wrong_schema(below(at, least), fmt::format("is above {}", most));
    return add(std::move(node), at);
  }

  Result<uint32_t> array_node(simdjson::dom::object object, const std::string& at) {
    JsonElement items;
    if (object.at_key("items").get(items))
      return wrong_schema(at, "is an array, and says no items");
    ASSIGN_OR_RETURN(const uint32_t item, schema(items, below(at, "items")));
    return counted(object, at, "minItems", "maxItems", {.kind = Kind::kArray, .children = {item}});
  }

  // A bound in units of 10^-decimals, rounded towards what it allows.
  static Result<int64_t> bound(simdjson::dom::object object, const std::string& at, const char* key,
                               uint32_t decimals, int64_t otherwise) {
    if (object.at_key(key).error()) return otherwise;
    const auto number = at_key<double>(object, key);
    if (!number) return wrong_schema(below(at, key), "is no number");
    const std::string_view name = key;
    const bool is_low = name.ends_with("inimum"), exclusive = name.starts_with("exclusive");
    const double scaled = *number * std::pow(10.0, decimals);
    const double most = decimals ? 1e18 : 1e15;
    if (!(std::abs(scaled) < most)) {
      if (is_low == (scaled < 0)) return otherwise;
      return wrong_schema(below(at, key), fmt::format("{} is too large a bound", *number));
    }
    const double nearest = std::round(scaled);
    const bool exact = std::abs(scaled - nearest) <= 1e-15 * std::abs(scaled) + 1e-9;
    const auto units = static_cast<int64_t>(exact    ? nearest
                                            : is_low ? std::ceil(scaled)
                                                     : std::floor(scaled));
    if (!exact || !exclusive) return units;
    return is_low ? units + 1 : units - 1;
  }

  Result<uint32_t> number_node(simdjson::dom::object object, const std::string& at,
                               uint32_t decimals) {
    const int64_t most = decimals ? 999'999'999'999'999'999 : 999'999'999'999'999;
    JsonNode node{.kind = Kind::kNumber, .low = -most, .high = most, .decimals = decimals};
    for (const char* key : {"minimum", "exclusiveMinimum"}) {
      ASSIGN_OR_RETURN(const int64_t low, bound(object, at, key, decimals, -most));
      node.low = std::max(node.low, low);
    }
    for (const char* key : {"maximum", "exclusiveMaximum"}) {
      ASSIGN_OR_RETURN(const int64_t high, bound(object, at, key, decimals, most));
      node.high = std::min(node.high, high);
    }
    if (node.low > node.high) return wrong_schema(at, "no number is within the bounds");
    return add(std::move(node), at);
  }

  struct Property {
    std::string key;  // "name":␠
    uint32_t value;
    bool required;
  };

  Result<std::vector<Property>> properties_of(simdjson::dom::object object, const std::string& at) {
    std::vector<Property> properties;
    std::set<std::string_view> required, names;
    if (!object.at_key("required").error()) {
      const auto list = at_key<simdjson::dom::array>(object, "required");
      if (!list) return wrong_schema(below(at, "required"), "is no list of names");
      for (const JsonElement each : *list) {
        std::string_view name;
        if (each.get(name)) return wrong_schema(below(at, "required"), "is no list of names");
        required.insert(name);
      }
    }
    if (!object.at_key("properties").error()) {
      const auto list = at_key<simdjson::dom::object>(object, "properties");
      const std::string place = below(at, "properties");
      if (!list) return wrong_schema(place, "is no object");
      if (list->size() > kMostChoices)
        return wrong_schema(place, fmt::format("more than {} properties", kMostChoices));
      for (const auto each : *list) {
        if (!names.insert(each.key).second)
          return wrong_schema(below(place, each.key), "is there twice");
        ASSIGN_OR_RETURN(const uint32_t value, schema(each.value, below(place, each.key)));
        properties.push_back({quoted(each.key) + ": ", value, required.contains(each.key)});
      }
    }
    for (const std::string_view name : required)
      if (!names.contains(name))
        return wrong_schema(below(at, "required"), fmt::format("\"{}\" is no property", name));
    return properties;
  }

  Result<uint32_t> object_node(simdjson::dom::object object, const std::string& at) {
    JsonElement additional;
    if (!object.at_key("additionalProperties").get(additional) && !additional.is_bool())
      return wrong_schema(
          below(at, "additionalProperties"),
          "the keyword \"additionalProperties\" is supported as true or false only");
    ASSIGN_OR_RETURN(const auto properties, properties_of(object, at));
    // From the last property to the first: what may follow where one is there already, and where
    // none is.
    ASSIGN_OR_RETURN(uint32_t after, text("}", at));
    ASSIGN_OR_RETURN(uint32_t first, text("{}", at));
    for (size_t i = properties.size(); i-- > 0;) {
      const Property& p = properties[i];
      const auto with = [&](const char* before) -> Result<uint32_t> {
        ASSIGN_OR_RETURN(const uint32_t key, text(before + p.key, at));
        return add({.kind = Kind::kSequence, .children = {key, p.value, after}}, at);
      };
      ASSIGN_OR_RETURN(const uint32_t begin, with("{"));
      ASSIGN_OR_RETURN(const uint32_t next, with(", "));
      if (p.required) {
        first = begin, after = next;
        continue;
      }
      ASSIGN_OR_RETURN(first, choice({begin, first}, at));
      ASSIGN_OR_RETURN(after, choice({next, after}, at));
    }
    return first;
  }

  JsonElement root_;
  JsonGrammar grammar_;
  std::map<std::string, uint32_t> references_;
  int depth_ = 0;
};

Result<JsonGrammar> JsonGrammar::create(std::string_view schema) {
  if (schema.size() > kMostSchemaBytes)
    return Status::bad_input("the schema has more than 1 MiB", "give a smaller one");
  const auto json = Json::parse(schema);
  if (!json.ok())
    return Status::bad_input("schema: " + json.status().what(), "mend the schema's JSON");
  return JsonSchemaCompiler(json->root).compile();
}

}  // namespace enxuto
