// Regexes run over class bytes (unicode.h), one per character, so PCRE2 needs no Unicode mode and
// no tables of its own, and llama.cpp's answers are met exactly, even where its classes are odd.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/pretokenizer.h"

#include <pcre2.h>

#include <algorithm>
#include <utility>

#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

// Members of a [] that stand for \p{L}, \p{N}, \p{M}, \p{P}.
#define L "A-Za-z\xD2"
#define N "0-9\xD1"
#define M "\xD4"
#define P "!-#%-*,\\-./:;?@\\[\\\\\\]_{}\xD3"
#define UPPER "A-Z\xD2"
#define LOWER "a-z\xD2"
#define SUFFIX "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define WORD "[^\\r\\n" L N "]?[" L "]+"
#define SIGNS " ?[^\\s" L N "]+"
#define LINES "\\s*[\\r\\n]+"
#define SPACES "\\s+(?!\\S)|\\s+"
#define MIXED_CASE                                                                    \
  "[^\\r\\n" L N "]?[" UPPER "]*[" LOWER "]+(?:" SUFFIX ")?|[^\\r\\n" L N "]?[" UPPER \
  "]+"                                                                                \
  "[" LOWER "]*(?:" SUFFIX ")?"

constexpr const char* kGpt2 = "'(?:[stmd]|re|ve|ll)| ?[" L "]+| ?[" N "]+|" SIGNS "|" SPACES;
constexpr const char* kQwen2 = SUFFIX "|" WORD "|[" N "]|" SIGNS "[\\r\\n]*|" LINES "|" SPACES;
constexpr const char* kLlama3 =
    SUFFIX "|" WORD "|[" N "]{1,3}|" SIGNS "[\\r\\n]*|" LINES "|" SPACES;

enum Flag : uint8_t { kPlain = 0, kIgnoreMerges = 1, kAddBos = 2, kNoBos = 4 };

struct Rules {
  std::vector<const char*> regexes;
  uint8_t flags;
  std::vector<std::string_view> names;
};

const std::vector<Rules>& all_rules() {
  static const std::vector<Rules> rules = {
      {{"[" P "$+<=>^~|]+", kGpt2, "[" N "]+", "[0-9][0-9][0-9]"}, kPlain, {"default"}},
      {{kGpt2},
       kPlain,
       {"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0",
        "mellum", "modern-bert", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling"}},
      {{"[" N "]", kGpt2},
       kPlain,
       {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
        "mellum2"}},
      {{kQwen2},
       kPlain,
       {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
        "solar-open", "grok-2"}},
      {{SUFFIX "|[^\\r\\n" L N "]?[" L M "]+|[" N "]| ?[^\\s" L M N "]+[\\r\\n]*|" LINES
               "|" SPACES},
       kPlain,
       {"qwen35"}},
      {{kLlama3}, kPlain, {"dbrx", "smaug-bpe"}},
      {{kLlama3},
       kIgnoreMerges | kAddBos,
       {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano"}},
      {{kLlama3}, kNoBos, {"chatglm-bpe"}},
      {{kLlama3}, kNoBos | kIgnoreMerges, {"glm4", "glm5"}},
      {{"[" P "$+<=>^~|`]+", kGpt2, "[0-9][0-9][0-9]"}, kPlain, {"falcon"}},
      {{MIXED_CASE "|[" N "]{1,3}|" SIGNS "[\\r\\n/]*|" LINES "|" SPACES},
       kPlain,
       {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}},
      {{"[^\\r\\n" L N "]?[" UPPER "]*[" LOWER "]+|[^\\r\\n" L N "]?[" UPPER "]+[" LOWER "]*|[" N
        "]|" SIGNS "[\\r\\n/]*|" LINES "|" SPACES},
       kIgnoreMerges | kAddBos,
       {"tekken"}},
      {{SUFFIX "|" WORD "|[" N "]| ?[^\\s" L N "\\r\\n]+|" LINES "|" SPACES},
       kPlain,
       {"seed-coder"}},
      {{SUFFIX "|" WORD "|[" N "]|" SIGNS "[\\r\\n]*|\\s*[\\r\\n]|" SPACES},
       kPlain,
       {"bailingmoe", "bailingmoe2", "llada-moe"}},
  };
  return rules;
}

}  // namespace

// One compiled regex. Text between matches is a piece too.
class Pretokenizer::Regex {
 public:
  explicit Regex(const char* pattern) {
    int error;
    PCRE2_SIZE place;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern), PCRE2_ZERO_TERMINATED,
                              PCRE2_NO_AUTO_CAPTURE, &error, &place, nullptr));
    // Where the system forbids making code at run time, the same calls interpret.
    if (code_) pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }
  bool valid() const { return code_ != nullptr; }

  // Appends the lengths of the pieces of `classes`.
  void split(std::string_view classes, pcre2_match_data* match, std::vector<uint32_t>& out) const {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(classes.data());
    size_t at = 0, start = 0;
    while (at < classes.size() &&
           pcre2_match(code_.get(), subject, classes.size(), at, 0, match, nullptr) > 0) {
      const PCRE2_SIZE* found = pcre2_get_ovector_pointer(match);
      if (found[0] > start) out.push_back(static_cast<uint32_t>(found[0] - start));
      out.push_back(static_cast<uint32_t>(found[1] - found[0]));
      at = start = found[1];
    }
    if (start < classes.size()) out.push_back(static_cast<uint32_t>(classes.size() - start));
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
};

Pretokenizer::Pretokenizer() = default;
Pretokenizer::~Pretokenizer() = default;
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;

Result<Pretokenizer> Pretokenizer::create(std::string_view name) {
  if (name.empty()) name = "default";
  std::string known;
  for (const Rules& rules : all_rules()) {
    known += (known.empty() ? "" : ", ") + std::string(rules.names[0]);
    if (std::find(rules.names.begin(), rules.names.end(), name) == rules.names.end()) continue;
    Pretokenizer result;
    for (const char* pattern : rules.regexes) {
      if (!result.regexes_.emplace_back(pattern).valid())
        return Status::failed("a pre-tokenizer regex does not compile");
    }
    result.ignores_merges_ = rules.flags & kIgnoreMerges;
    result.adds_bos_ = rules.flags & kAddBos;
    if (rules.flags & kNoBos) result.default_bos_ = -1;
    return result;
  }
  return Status::bad_input("unknown pre-tokenizer '" + std::string(name.substr(0, 64)) + "'",
                           "this version knows " + known + " and their synonyms");
}

std::string_view Pretokenizer::first_name(std::string_view name) {
  for (const Rules& rules : all_rules())
    if (std::ranges::find(rules.names, name) != rules.names.end()) return rules.names[0];
  return {};
}

void Pretokenizer::split(std::string_view text, std::vector<uint32_t>& piece_bytes) const {
  std::string classes;
  class_bytes(text, classes);
  const bool ascii = classes.size() == text.size();
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  std::vector<uint32_t> before{static_cast<uint32_t>(classes.size())};
  for (const Regex& regex : regexes_) {
    piece_bytes.clear();
    size_t at = 0;
    for (const uint32_t length : before) {
      regex.split(std::string_view(classes).substr(at, length), match.get(), piece_bytes);
      at += length;
    }
    if (&regex != &regexes_.back()) before.swap(piece_bytes);
  }
  if (ascii) return;
  size_t at = 0;  // from characters to bytes
  for (uint32_t& length : piece_bytes) {
    const size_t start = at;
    for (uint32_t i = 0; i < length; i++) at += utf8_length(text[at]);
    length = static_cast<uint32_t>(at - start);
  }
}

}  // namespace enxuto
