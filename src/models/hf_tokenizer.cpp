#include "models/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "formats/sentencepiece.h"
#include "models/hf_special_tokens.h"
#include "platform/file.h"

namespace enxuto {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 128 << 20;
constexpr const char* kTodo = "download the folder again";
constexpr const char* kSpace = "\xe2\x96\x81";  // U+2581, SentencePiece's space

// Scores of the converter for tokens that no merge makes, and for ids that no token has.
constexpr float kAddedScore = -1000.0f, kUnusedScore = -10000.0f;

// tokenizer.ggml.token_type
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;

  explicit Vocabulary(uint32_t n) : types(n, kUnused), scores(n, kUnusedScore) {
    tokens.reserve(n);
    for (uint32_t i = 0; i < n; ++i) tokens.push_back(fmt::format("[PAD{}]", i));
  }
  void set(uint64_t id, std::string token, TokenType type, float score) {
    tokens[id] = std::move(token);
    types[id] = type;
    scores[id] = score;
  }
};

Status bad(std::string what) { return Status::bad_input(std::move(what), kTodo); }

Status outside(uint64_t id, size_t n) {
  return bad(fmt::format("tokenizer: token {} is outside of the embedding's {} rows", id, n));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// Some files mark tokens that steer the model as ordinary added ones.
bool looks_special(std::string_view token) {
  for (const char* known : {"<pad>", "<mask>", "<2mass>", "[@BOS@]"})
    if (token == known) return true;
  return (token.starts_with("<|") && token.ends_with("|>")) ||
         (token.starts_with("<｜") && token.ends_with("｜>")) ||
         (token.starts_with("<unused") && token.ends_with(">"));
}

Status read_added_tokens(JsonElement root, Vocabulary& v) {
  const auto added = json_array(root, "added_tokens");
  if (!added) return {};
  for (const JsonElement entry : *added) {
    const auto id = json_unsigned(entry, "id");
    const auto content = json_string(entry, "content");
    if (!id || !content) return bad("tokenizer.json: an added token has no id or content");
    if (*id >= v.tokens.size()) return outside(*id, v.tokens.size());
    const bool special = json_bool(entry, "special").value_or(false) || looks_special(*content);
    std::string token(*content);
    if (!special) replace_all(token, kSpace, " ");
    v.set(*id, std::move(token), special ? kControl : kUserDefined, kAddedScore);
  }
  return {};
}

Status read_vocabulary(JsonElement model, Vocabulary& v) {
  const auto vocab = json_object(model, "vocab");
  if (!vocab) return bad("tokenizer.json: the model has no vocab");
  for (const auto& [token, value] : *vocab) {
    uint64_t id;
    if (value.get(id)) return bad("tokenizer.json: a token's id is no number");
    if (id >= v.tokens.size()) return outside(id, v.tokens.size());
    if (v.types[id] != kUnused)
      return bad(fmt::format("tokenizer.json: two tokens have id {}", id));
    v.set(id, std::string(token), kNormal, kAddedScore);
  }
  return {};
}

// "left right", from either form of a merge. A space inside a part is written as byte-level BPE
// writes it.
Result<std::string> merge_text(JsonElement merge) {
  std::string_view text;
  if (!merge.get(text)) return std::string(text);
  simdjson::dom::array pair;
  std::string_view left, right;
  if (merge.get(pair) || pair.size() != 2 || pair.at(0).get(left) || pair.at(1).get(right))
    return bad("tokenizer.json: a merge is no pair of texts");
  std::string parts[2] = {std::string(left), std::string(right)};
  for (std::string& part : parts) replace_all(part, " ", "Ġ");
  return parts[0] + " " + parts[1];
}

Result<std::vector<std::string>> read_merges(JsonElement model) {
  std::vector<std::string> merges;
  const auto list = json_array(model, "merges");
  if (!list) return bad("tokenizer.json: the model has no merges");
  for (const JsonElement merge : *list) {
    ASSIGN_OR_RETURN(std::string text, merge_text(merge));
    merges.push_back(std::move(text));
  }
  return merges;
}

// SentencePiece merges the pair whose whole has the best score, byte-pair encoding the pair that
// stands first in its list: minus the place in the list is a score that does the same.
void score_by_merges(const std::vector<std::string>& merges, Vocabulary& v) {
  std::unordered_map<std::string_view, uint32_t> ids;
  for (uint32_t i = 0; i < v.tokens.size(); ++i)
    if (v.types[i] == kNormal) ids.emplace(v.tokens[i], i);
  for (size_t rank = merges.size(); rank-- > 0;) {  // the first of several merges counts
    std::string whole = merges[rank];
    whole.erase(whole.find(' '), whole.find(' ') == std::string::npos ? 0 : 1);
    replace_all(whole, "Ġ", " ");
    if (const auto found = ids.find(whole); found != ids.end())
      v.scores[found->second] = -static_cast<float>(rank);
  }
}

void mark_bytes(JsonElement model, Vocabulary& v) {
  const std::string_view unknown = json_string(model, "unk_token").value_or("");
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.types[i] != kNormal) continue;
    const std::string& token = v.tokens[i];
    if (token.size() == 6 && token.starts_with("<0x") && token.ends_with(">")) v.types[i] = kByte;
    if (!unknown.empty() && token == unknown) v.types[i] = kUnknown;
  }
}

void add_texts(const char* key, const std::vector<std::string>& texts, Metadata& m) {
  m.set_strings(key, {texts.begin(), texts.end()});
}

// Which of GGUF's named pre-tokenizers a pre_tokenizer is.
std::string_view pre_name(JsonElement root) {
  static constexpr std::string_view kSplits[][2] = {
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       "llama-bpe"},
      {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       "qwen2"}};
  const auto pre = json_at(root, "pre_tokenizer");
  if (!pre) return "";
  const std::string_view type = json_string(*pre, "type").value_or("");
  if (type == "ByteLevel") return json_bool(*pre, "use_regex").value_or(true) ? "gpt-2" : "";
  const auto parts = json_array(*pre, "pretokenizers");
  JsonElement first, second;
  if (!parts || parts->size() != 2 || parts->at(0).get(first) || parts->at(1).get(second) ||
      json_string(second, "type") != "ByteLevel")
    return "";
  const bool regex = json_bool(second, "use_regex").value_or(true);
  if (json_string(first, "type") == "Digits" && json_bool(first, "individual_digits") == true)
    return regex ? "smollm" : "";
  const auto pattern = json_at(first, "pattern");
  if (json_string(first, "type") != "Split" || regex || !pattern) return "";
  for (const auto& [text, name] : kSplits)
    if (json_string(*pattern, "Regex") == text) return name;
  return "";
}

Status write_bpe(JsonElement root, JsonElement model, Vocabulary& v, Metadata& m) {
  const std::string_view pre = pre_name(root);
  if (pre.empty())
    return Status::bad_input("tokenizer.json: its pre_tokenizer is not known",
                             "convert the model with llama.cpp's convert_hf_to_gguf.py first");
  m.set_string("tokenizer.ggml.model", "gpt2");
  m.set_string("tokenizer.ggml.pre", pre);
  add_texts("tokenizer.ggml.tokens", v.tokens, m);
  m.set_i32s("tokenizer.ggml.token_type", v.types);
  ASSIGN_OR_RETURN(const auto merges, read_merges(model));
  add_texts("tokenizer.ggml.merges", merges, m);
  return {};
}

void write_sentencepiece(const Vocabulary& v, Metadata& m) {
  m.set_string("tokenizer.ggml.model", "llama");
  m.set_string("tokenizer.ggml.pre", "default");
  add_texts("tokenizer.ggml.tokens", v.tokens, m);
  m.set_f32s("tokenizer.ggml.scores", v.scores);
  m.set_i32s("tokenizer.ggml.token_type", v.types);
}

Status read_pieces(const std::string& path, Vocabulary& v) {
  ASSIGN_OR_RETURN(const auto pieces, read_sentencepiece(path));
  for (size_t id = 0; id < pieces.size() && id < v.tokens.size(); ++id) {
    const Piece& p = pieces[id];
    // SentencePiece's kinds have GGUF's numbers, but user-defined pieces are ordinary to GGUF.
    const int32_t type = p.type == kUserDefined ? kNormal : p.type;
    v.set(id, p.text, static_cast<TokenType>(type), p.score);
  }
  return {};
}

Status read_tokenizer_json(JsonElement root, const std::string& pieces_path, Vocabulary& v,
                           Metadata& m) {
  const auto model = json_at(root, "model");
  const auto type = model ? json_string(*model, "type") : std::nullopt;
  if (type != "BPE")
    return Status::bad_input(fmt::format("tokenizer.json: a model of type '{}' is not known",
                                         type.value_or("?").substr(0, 40)),
                             "known is BPE, with bytes as letters or as fallback");
  const bool sentencepiece = json_bool(*model, "byte_fallback").value_or(false);
  if (sentencepiece && file_exists(pieces_path)) {
    TRY(read_pieces(pieces_path, v));
  } else {
    TRY(read_vocabulary(*model, v));
  }
  if (sentencepiece && !file_exists(pieces_path)) {
    ASSIGN_OR_RETURN(const auto merges, read_merges(*model));
    score_by_merges(merges, v);
    mark_bytes(*model, v);
  }
  TRY(read_added_tokens(root, v));
  if (!sentencepiece) return write_bpe(root, *model, v, m);
  write_sentencepiece(v, m);
  return {};
}

}  // namespace

Status read_hf_tokenizer(const std::string& folder, JsonElement config, uint32_t vocabulary,
                         Metadata& metadata) {
  const std::string json_path = folder + "/tokenizer.json",
                    pieces_path = folder + "/tokenizer.model";
  Vocabulary v(vocabulary);
  Json json{nullptr, {}};
  if (file_exists(json_path)) {
    ASSIGN_OR_RETURN(json, Json::read(json_path, kMaxTokenizerBytes));
    TRY(read_tokenizer_json(json.root, pieces_path, v, metadata));
  } else if (file_exists(pieces_path)) {
    TRY(read_pieces(pieces_path, v));
    write_sentencepiece(v, metadata);
  } else {
    return bad(fmt::format("{} holds no tokenizer.json", folder));
  }
  return read_special_tokens(folder, json.parser ? &json.root : nullptr, config, metadata);
}

}  // namespace enxuto
