#include "models/hf_tokenizer_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tokenizer/pretokenizer.h"
#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kSpace = "\xe2\x96\x81";  // U+2581, SentencePiece's space

// Texts of tokens are what the file says: what is no UTF-8 is replaced, since JSON cannot hold it.
std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool is_byte_level(const Metadata& metadata) {
  return metadata.string_at("tokenizer.ggml.model") == "gpt2";
}

bool prefixes_space(const Metadata& metadata) {
  return !is_byte_level(metadata) &&
         metadata.bool_at("tokenizer.ggml.add_space_prefix").value_or(true);
}

bool is_added(TokenKind kind) {
  return kind == TokenKind::Control || kind == TokenKind::Unknown || kind == TokenKind::UserDefined;
}

// An id without a token of its own is in no list; the embedding has its row.
bool is_left_out(TokenKind kind) { return kind == TokenKind::Unused; }

OrderedJson byte_level(bool splits) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", splits}};
}

OrderedJson split_by(const char* regex) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", regex}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            byte_level(false)}}};
}

// Of a row of pretokenizer.cpp, by its first name. Null: Hugging Face has nothing like it, or
// nothing that was compared.
OrderedJson pre_tokenizer_of(std::string_view name) {
  constexpr const char* kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr const char* kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (name == "gpt-2") return byte_level(true);
  if (name == "smollm")
    return {
        {"type", "Sequence"},
        {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)}}};
  if (name == "qwen2") return split_by(kQwen2);
  if (name == "llama3" || name == "dbrx") return split_by(kLlama3);
  return {};
}

OrderedJson replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

struct Steps {
  OrderedJson normalizer, pre_tokenizer, decoder;
};

Steps sentencepiece_steps(bool prefix) {
  Steps steps;
  OrderedJson with_spaces = replace(" ", kSpace);
  steps.normalizer = with_spaces;
  steps.decoder = {
      {"type", "Sequence"},
      {"decoders", {replace(kSpace, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
  if (!prefix) return steps;
  steps.normalizer = {{"type", "Sequence"},
                      {"normalizers", {{{"type", "Prepend"}, {"prepend", kSpace}}, with_spaces}}};
  steps.decoder["decoders"].push_back(
      {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return steps;
}

Result<Steps> steps_of(const Metadata& metadata) {
  if (!is_byte_level(metadata)) return sentencepiece_steps(prefixes_space(metadata));
  const std::string_view pre = metadata.string_at("tokenizer.ggml.pre").value_or("default");
  Steps steps;
  steps.pre_tokenizer = pre_tokenizer_of(Pretokenizer::first_name(pre));
  if (steps.pre_tokenizer.is_null())
    return Status::bad_input(
        fmt::format("its pre-tokenizer '{}' has no known counterpart at Hugging Face",
                    pre.substr(0, 64)),
        "known are gpt-2, smollm, qwen2, llama-bpe and what cuts alike");
  steps.decoder = byte_level(true);
  return steps;
}

// Tokens that the model begins and ends with by itself.
OrderedJson post_processor(const Metadata& metadata, const Vocabulary& v) {
  if (!v.add_bos && !v.add_eos) return is_byte_level(metadata) ? byte_level(true) : OrderedJson();
  OrderedJson single = OrderedJson::array(), pair = OrderedJson::array(),
              tokens = OrderedJson::object();
  const auto special = [&](Token token, int text) {
    const std::string name = v.text(token);
    tokens[name] = {{"id", name}, {"ids", {token}}, {"tokens", {name}}};
    return OrderedJson{{"SpecialToken", {{"id", name}, {"type_id", text}}}};
  };
  const char* names[] = {"A", "B"};
  for (int text = 0; text < 2; ++text) {
    if (v.add_bos) pair.push_back(special(v.bos, text));
    pair.push_back({{"Sequence", {{"id", names[text]}, {"type_id", text}}}});
    if (v.add_eos) pair.push_back(special(v.eos, text));
    if (text == 0) single = pair;
  }
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", tokens}};
}

// Pairs that SentencePiece merges, best first: those that make a token, by its score.
class ScoredMerges {
 public:
  explicit ScoredMerges(const Vocabulary& v) : v_(v) {
    for (size_t i = 0; i < v.size(); ++i) add(static_cast<Token>(i));
    std::ranges::stable_sort(merges_,
                             [](const Merge& a, const Merge& b) { return a.score > b.score; });
  }
  size_t size() const { return merges_.size(); }
  std::string text(size_t i) const {
    const std::string whole = v_.text(merges_[i].whole);
    return whole.substr(0, merges_[i].left) + " " + whole.substr(merges_[i].left);
  }

 private:
  struct Merge {
    float score;
    Token whole;
    uint32_t left;  // bytes
  };
  void add(Token token) {
    const std::string whole = v_.text(token);
    if (is_left_out(v_.kind(token)) || whole.find(' ') != std::string::npos) return;
    const std::string_view text = whole;
    for (size_t at = utf8_length(whole[0]); at < whole.size(); at += utf8_length(whole[at]))
      if (v_.find(text.substr(0, at)) >= 0 && v_.find(text.substr(at)) >= 0)
        merges_.push_back({v_.score(token), token, static_cast<uint32_t>(at)});
  }
  const Vocabulary& v_;
  std::vector<Merge> merges_;
};

// Text in a file, with commas between the elements of a list.
class JsonText {
 public:
  explicit JsonText(OutputFile& out) : out_(out) {}
  void raw(std::string_view text) {
    if (status_.ok()) status_ = out_.write(text);
    first_ = true;
  }
  void element(std::string_view text) {
    const bool first = first_;
    raw(first ? "\n" : ",\n");
    raw(text);
    first_ = false;
  }
  const Status& status() const { return status_; }

 private:
  OutputFile& out_;
  Status status_;
  bool first_ = true;
};

void write_added(const Vocabulary& v, JsonText& json) {
  for (size_t i = 0; i < v.size(); ++i) {
    const auto token = static_cast<Token>(i);
    if (!is_added(v.kind(token))) continue;
    json.element(fmt::format(R"({{"id":{},"content":{},"single_word":false,"lstrip":false,)"
                             R"("rstrip":false,"normalized":false,"special":{}}})",
                             i, json_text(v.text(token)), v.is_special(token)));
  }
}

void write_vocabulary(const Vocabulary& v, JsonText& json) {
  for (size_t i = 0; i < v.size(); ++i) {
    const auto token = static_cast<Token>(i);
    if (!is_left_out(v.kind(token)))
      json.element(fmt::format("{}:{}", json_text(v.text(token)), i));
  }
}

Status write_merges(const Metadata& metadata, const Vocabulary& v, JsonText& json) {
  if (is_byte_level(metadata)) {
    ASSIGN_OR_RETURN(const StringArray merges,
                     StringArray::open(metadata, "tokenizer.ggml.merges"));
    for (size_t i = 0; i < merges.size(); ++i) json.element(json_text(merges[i]));
    return {};
  }
  const ScoredMerges merges(v);
  for (size_t i = 0; i < merges.size(); ++i) json.element(json_text(merges.text(i)));
  return {};
}

bool ignores_merges(const Metadata& metadata) {
  return is_byte_level(metadata) &&
         Pretokenizer::first_name(metadata.string_at("tokenizer.ggml.pre").value_or("")) ==
             "llama3";
}

std::string model_head(const Metadata& metadata, const Vocabulary& v) {
  const bool bytes = is_byte_level(metadata);
  const bool unknown = !bytes && v.unknown >= 0;
  return fmt::format(R"("model":{{"type":"BPE","dropout":null,"unk_token":{},)"
                     R"("continuing_subword_prefix":null,"end_of_word_suffix":null,)"
                     R"("fuse_unk":{},"byte_fallback":{},"ignore_merges":{},"vocab":{{)",
                     unknown ? json_text(v.text(v.unknown)) : "null", !bytes, !bytes,
                     ignores_merges(metadata));
}

void add_templates(const Metadata& metadata, OrderedJson& config) {
  const auto main = metadata.string_at("tokenizer.chat_template");
  const MetaValue* names = metadata.find("tokenizer.chat_templates");
  const auto others = names ? names->as_strings() : std::nullopt;
  if (!others) {
    if (main) config["chat_template"] = *main;
    return;
  }
  if (main) config["chat_template"].push_back({{"name", "default"}, {"template", *main}});
  for (const std::string_view name : *others)
    if (const auto text = metadata.string_at("tokenizer.chat_template." + std::string(name)))
      config["chat_template"].push_back({{"name", name}, {"template", *text}});
}

}  // namespace

Result<Vocabulary> hf_vocabulary(const Metadata& metadata) {
  if (!is_byte_level(metadata)) return Vocabulary::create(metadata, {1, 2, 0, true});
  ASSIGN_OR_RETURN(
      const Pretokenizer pre,
      Pretokenizer::create(metadata.string_at("tokenizer.ggml.pre").value_or("default")));
  return Vocabulary::create(metadata, {pre.default_bos(), 11, -1, pre.adds_bos()});
}

Status write_hf_tokenizer(const Metadata& metadata, OutputFile& out) {
  ASSIGN_OR_RETURN(const Steps steps, steps_of(metadata));
  ASSIGN_OR_RETURN(const Vocabulary v, hf_vocabulary(metadata));
  JsonText json(out);
  json.raw(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)");
  write_added(v, json);
  json.raw(
      fmt::format("],\n\"normalizer\":{},\n\"pre_tokenizer\":{},\n\"post_processor\":{},\n"
                  "\"decoder\":{},\n",
                  steps.normalizer.dump(), steps.pre_tokenizer.dump(),
                  post_processor(metadata, v).dump(), steps.decoder.dump()));
  json.raw(model_head(metadata, v));
  write_vocabulary(v, json);
  json.raw("},\"merges\":[");
  TRY(write_merges(metadata, v, json));
  json.raw("]}}\n");
  return json.status();
}

Result<std::string> hf_tokenizer_config(const Metadata& metadata, uint32_t context) {
  ASSIGN_OR_RETURN(const Vocabulary v, hf_vocabulary(metadata));
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"model_max_length", context},
                        {"clean_up_tokenization_spaces", false},
                        {"add_bos_token", v.add_bos},
                        {"add_eos_token", v.add_eos}};
  if (!is_byte_level(metadata)) config["add_prefix_space"] = prefixes_space(metadata);
  const auto pad = metadata.unsigned_at("tokenizer.ggml.padding_token_id");
  const std::pair<const char*, Token> specials[] = {
      {"bos_token", v.bos},
      {"eos_token", v.eos},
      {"unk_token", v.unknown},
      {"pad_token", pad && *pad < v.size() ? static_cast<Token>(*pad) : Token{-1}}};
  for (const auto& [name, token] : specials)
    if (token >= 0) config[name] = v.text(token);
  add_templates(metadata, config);
  return config.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace enxuto
