#include "models/hf_special_tokens.h"

#include <fmt/format.h>

#include <map>

#include "platform/file.h"

namespace enxuto {
namespace {

constexpr uint64_t kMaxConfigBytes = 32 << 20, kMaxTemplateBytes = 4 << 20;

struct Kind {
  const char *name, *key;  // Hugging Face's "bos_token", GGUF's tokenizer.ggml.KEY
};
constexpr Kind kKinds[] = {{"bos", "bos_token_id"},     {"eos", "eos_token_id"},
                           {"unk", "unknown_token_id"}, {"sep", "seperator_token_id"},
                           {"pad", "padding_token_id"}, {"cls", "cls_token_id"},
                           {"mask", "mask_token_id"},   {"eot", "eot_token_id"}};

struct Special {
  std::map<std::string, std::string, std::less<>> text;  // by kind
  std::map<std::string, bool, std::less<>> added;        // "bos", "eos", "sep": added by itself
};

// A token in tokenizer_config.json is a text, or an object around it.
std::string token_text(JsonElement config, const std::string& key) {
  if (const auto text = json_string(config, key)) return std::string(*text);
  const auto object = json_at(config, key);
  return object ? std::string(json_string(*object, "content").value_or("")) : std::string();
}

std::string special_id(JsonElement item) {
  const auto token = json_at(item, "SpecialToken");
  return token ? std::string(json_string(*token, "id").value_or("")) : std::string();
}

// A template for one text: special tokens at its ends are those that are added.
void read_template(JsonElement processor, Special& s) {
  const auto single = json_array(processor, "single");
  if (!single || single->size() < 2) return;
  JsonElement first, last;
  if (single->at(0).get(first) || single->at(single->size() - 1).get(last)) return;
  if (const std::string begin = special_id(first); !begin.empty()) {
    if (s.text["bos"].empty()) s.text["bos"] = begin;
    s.added["bos"] = begin == s.text["bos"] || begin == s.text["cls"];
  }
  if (const std::string end = special_id(last); !end.empty()) {
    if (!s.text["eos"].empty() && end != s.text["eos"]) s.text["eot"] = s.text["eos"];
    s.text["eos"] = end;
    s.added["eos"] = true;
  }
}

void read_processor(JsonElement processor, Special& s) {
  const std::string_view type = json_string(processor, "type").value_or("");
  if (type == "TemplateProcessing") read_template(processor, s);
  if (type != "ByteLevel") return;
  s.added.emplace("bos", false);
  s.added.emplace("eos", false);
}

void read_post_processor(JsonElement tokenizer, Special& s) {
  const auto post = json_at(tokenizer, "post_processor");
  if (!post) return;
  const auto several = json_array(*post, "processors");
  if (!several) return read_processor(*post, s);
  for (const JsonElement each : *several) read_processor(each, s);
}

void read_texts(JsonElement config, Special& s) {
  for (const Kind& kind : kKinds)
    s.text[kind.name] = token_text(config, std::string(kind.name) + "_token");
  if (s.text["bos"].empty()) s.text["bos"] = s.text["cls"];
  if (s.text["eos"].empty()) s.text["eos"] = s.text["sep"];
}

void read_added(JsonElement config, Special& s) {
  for (const char* kind : {"bos", "eos", "sep"})
    if (const auto added = json_bool(config, fmt::format("add_{}_token", kind)))
      s.added.emplace(kind, *added);
}

std::optional<uint64_t> id_of_added(JsonElement tokenizer, const std::string& text) {
  const auto added = json_array(tokenizer, "added_tokens");
  if (!added || text.empty()) return std::nullopt;
  for (const JsonElement entry : *added)
    if (json_string(entry, "content") == text) return json_unsigned(entry, "id");
  return std::nullopt;
}

void write_ids(const Special& s, const JsonElement* tokenizer, JsonElement config, Metadata& m) {
  const MetaValue* tokens = m.find("tokenizer.ggml.tokens");
  const uint64_t n = tokens ? tokens->count : 0;
  const auto inner = json_at(config, "text_config");
  for (const Kind& kind : kKinds) {
    const auto text = s.text.find(kind.name);
    std::optional<uint64_t> id;
    if (tokenizer && text != s.text.end()) id = id_of_added(*tokenizer, text->second);
    const std::string key = fmt::format("{}_token_id", kind.name);
    if (!id) id = json_unsigned(config, key);
    if (!id && inner) id = json_unsigned(*inner, key);
    if (id && *id < n)
      m.set_u32(fmt::format("tokenizer.ggml.{}", kind.key), static_cast<uint32_t>(*id));
  }
  for (const auto& [kind, added] : s.added)
    m.set_bool(fmt::format("tokenizer.ggml.add_{}_token", kind), added);
}

// A list of named templates: "default" is the template, the others keep their names.
void write_named_templates(simdjson::dom::array list, Metadata& m) {
  std::vector<std::string> names;
  for (const JsonElement entry : list) {
    std::string name(json_string(entry, "name").value_or(""));
    const auto text = json_string(entry, "template");
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    if (name.empty() || !text) continue;
    if (name == "default") {
      m.set_string("tokenizer.chat_template", *text);
      continue;
    }
    m.set_string("tokenizer.chat_template." + name, *text);
    names.push_back(std::move(name));
  }
  if (!names.empty()) m.set_strings("tokenizer.chat_templates", {names.begin(), names.end()});
}

Status write_template(const std::string& folder, std::optional<JsonElement> config, Metadata& m) {
  if (config) {
    if (const auto list = json_array(*config, "chat_template")) {
      write_named_templates(*list, m);
      return {};
    }
    if (const auto text = json_string(*config, "chat_template")) {
      m.set_string("tokenizer.chat_template", *text);
      return {};
    }
  }
  const std::string path = folder + "/chat_template.jinja";
  if (!file_exists(path)) return {};
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kMaxTemplateBytes));
  m.set_string("tokenizer.chat_template", text);
  return {};
}

// What llama.cpp's converter decides by family.
void write_space_prefix(std::optional<JsonElement> config, Metadata& m) {
  const auto architecture = m.string_at("general.architecture");
  if (architecture == "gemma3") m.set_bool("tokenizer.ggml.add_space_prefix", false);
  if (architecture != "llama" || !config) return;
  if (const auto prefix = json_bool(*config, "add_prefix_space"))
    m.set_bool("tokenizer.ggml.add_space_prefix", *prefix);
}

}  // namespace

Status read_special_tokens(const std::string& folder, const JsonElement* tokenizer,
                           JsonElement config, Metadata& metadata) {
  const std::string path = folder + "/tokenizer_config.json";
  Json json{nullptr, {}};
  if (file_exists(path)) {
    ASSIGN_OR_RETURN(json, Json::read(path, kMaxConfigBytes));
  }
  const auto tokenizer_config = json.parser ? std::optional<JsonElement>(json.root) : std::nullopt;
  Special special;
  if (tokenizer_config) read_texts(*tokenizer_config, special);
  if (tokenizer) read_post_processor(*tokenizer, special);
  if (tokenizer_config) read_added(*tokenizer_config, special);
  // SmolLM and Granite share this size of vocabulary; neither begins with a token of its own.
  const MetaValue* tokens = metadata.find("tokenizer.ggml.tokens");
  if (metadata.string_at("general.architecture") == "llama" && tokens && tokens->count == 49152)
    special.added["bos"] = false;
  write_ids(special, tokenizer, config, metadata);
  write_space_prefix(tokenizer_config, metadata);
  return write_template(folder, tokenizer_config, metadata);
}

}  // namespace enxuto
