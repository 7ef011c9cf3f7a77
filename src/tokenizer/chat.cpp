// Bytes of a user's text that could take part in a control token, and bytes that are not UTF-8, go
// through the template as one private character each (U+10FF00 + byte). Afterwards they are bytes
// again, and the tokenizer is told where: no control token may cover them.
#include "tokenizer/chat.h"

#include <algorithm>
#include <bitset>
#include <ctime>
#include <functional>
#include <set>
#include <string_view>

#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

extern "C" {
struct JinjaText {
  const char* data;
  size_t size;
};
struct JinjaMessage {
  JinjaText role, content;
};
struct JinjaRequest {
  JinjaText bos, eos;
  const JinjaMessage* messages;
  size_t n_messages;
  bool add_generation_prompt;
};
struct JinjaOutcome {
  bool ok;
  char* data;
  size_t size;
};
using JinjaTime = size_t (*)(const char* format, char* out, size_t size);
JinjaTemplate* chat_jinja_open(JinjaText source, JinjaTime format_time, JinjaOutcome& why);
JinjaOutcome chat_jinja_render(const JinjaTemplate& form, const JinjaRequest& request);
void chat_jinja_close(JinjaTemplate* form);
void chat_jinja_free(JinjaOutcome outcome);

static size_t format_time(const char* format, char* out, size_t size) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return std::strftime(out, size, format, &local);
}
}

JinjaText view(std::string_view text) { return {text.data(), text.size()}; }

Result<std::string> text_of(const JinjaOutcome& outcome) {
  std::string text(outcome.data, outcome.size);
  const bool ok = outcome.ok;
  chat_jinja_free(outcome);
  if (ok) return text;
  return Status::bad_input("chat template: " + text,
                           "use the model without a chat, or a file with another template");
}

constexpr uint32_t kFirstGuard = 0x10FF00;
constexpr std::string_view kGuardLead = "\xF4\x8F\xBC";  // … BF: then the byte's low six bits

void append_guard(char byte, std::string& out) {
  append_utf8(kFirstGuard + static_cast<uint8_t>(byte), out);
}

// Nothing, or the byte that the guard at the start of `text` holds.
int guarded_byte(std::string_view text) {
  if (text.size() < 4 || !text.starts_with(kGuardLead.substr(0, 2))) return -1;
  const int high = static_cast<uint8_t>(text[2]) - 0xBC;
  if (high < 0 || high > 3) return -1;
  return high << 6 | (text[3] & 0x3F);
}

// Knows which bytes of a user's text could be the start or the end of a control token, even one
// that a template would complete or put together from two places.
class Guards {
 public:
  explicit Guards(const std::vector<std::string_view>& control_texts) {
    for (const std::string_view text : control_texts) {
      first_.set(static_cast<uint8_t>(text.front()));
      last_.set(static_cast<uint8_t>(text.back()));
      if (text.size() == 1) whole_.set(static_cast<uint8_t>(text[0]));
      if (text.size() < 2) continue;
      starts_.insert(std::string(text.substr(0, 3)));
      pairs_.insert(std::string(text.substr(0, 2)));
      ends_.insert(std::string(text.substr(text.size() - 2)));
    }
  }

  std::string apply(std::string_view text) const {
    std::vector<bool> guard(text.size());
    for (size_t i = 0; i < text.size(); i++) {
      const auto byte = static_cast<uint8_t>(text[i]);
      if (whole_[byte] || (first_[byte] && has(starts_, text.substr(i, 3)))) guard[i] = true;
      if (i > 0 && last_[byte] && has(ends_, text.substr(i - 1, 2))) guard[i] = true;
    }
    guard_borders(text, guard);
    return encode(text, guard);
  }

 private:
  static bool has(const std::set<std::string, std::less<>>& set, std::string_view text) {
    return set.find(text) != set.end();
  }

  // What the template puts next to the text could complete a token.
  void guard_borders(std::string_view text, std::vector<bool>& guard) const {
    constexpr std::string_view kSpaces = " \t\r\n\v\f";
    const size_t front = text.find_first_not_of(kSpaces);
    if (front == std::string_view::npos) return;
    const size_t back = text.find_last_not_of(kSpaces);
    if (last_[static_cast<uint8_t>(text[front])]) guard[front] = true;
    if (first_[static_cast<uint8_t>(text[back])]) guard[back] = true;
    if (back > 0 && has(pairs_, text.substr(back - 1, 2))) guard[back] = true;
  }

  static std::string encode(std::string_view text, const std::vector<bool>& guard) {
    std::string out;
    out.reserve(text.size() + 64);
    for (size_t i = 0; i < text.size();) {
      const std::string_view character = text.substr(i, utf8_length(text[i]));
      const bool plain = !guard[i] && guarded_byte(character) < 0 && is_valid(character);
      if (plain) {
        out += character;
        i += character.size();
      } else {
        append_guard(text[i++], out);
      }
    }
    return out;
  }
  static bool is_valid(std::string_view character) {
    const bool surrogate = character.size() == 3 && character[0] == '\xED' &&
                           static_cast<uint8_t>(character[1]) >= 0xA0;
    return !surrogate && is_canonical_utf8(character);
  }

  std::bitset<256> first_, last_, whole_;
  std::set<std::string, std::less<>> starts_, pairs_, ends_;
};

struct Rendered {
  std::string text;
  std::vector<size_t> guarded;  // ascending
};

Rendered unguard(std::string_view rendered) {
  Rendered result;
  result.text.reserve(rendered.size());
  for (size_t i = 0; i < rendered.size();) {
    const int byte = rendered[i] == kGuardLead[0] ? guarded_byte(rendered.substr(i)) : -1;
    if (byte < 0) {
      result.text += rendered[i++];
      continue;
    }
    result.guarded.push_back(result.text.size());
    result.text += static_cast<char>(byte);
    i += 4;
  }
  return result;
}

Result<Rendered> render_guarded(const JinjaTemplate& form, const std::string& bos,
                                const std::string& eos, const std::vector<ChatMessage>& messages,
                                bool add_generation_prompt, const Guards& guards) {
  std::vector<std::string> texts;
  texts.reserve(messages.size() * 2);
  std::vector<JinjaMessage> list;
  for (const ChatMessage& message : messages) {
    texts.push_back(guards.apply(message.role));
    texts.push_back(guards.apply(message.content));
    list.push_back({view(texts[texts.size() - 2]), view(texts.back())});
  }
  ASSIGN_OR_RETURN(const std::string rendered,
                   text_of(chat_jinja_render(form, {view(bos), view(eos), list.data(), list.size(),
                                                    add_generation_prompt})));
  return unguard(rendered);
}

std::string token_text(const Metadata& metadata, std::string_view key) {
  const auto id = metadata.unsigned_at(key);
  const MetaValue* tokens = metadata.find("tokenizer.ggml.tokens");
  if (!id || !tokens) return {};
  const auto texts = tokens->as_strings();
  if (!texts || *id >= texts->size()) return {};
  return std::string((*texts)[*id]);
}

// A conversation's rendering, encoded stretch by stretch, so that answers begin at a token.
class Stretches {
 public:
  Stretches(const Tokenizer& tokenizer, const Rendered& whole)
      : tokenizer_(tokenizer), whole_(whole) {}

  std::vector<Token> encode(size_t begin, size_t end) const {
    std::vector<size_t> guarded;
    auto place = std::lower_bound(whole_.guarded.begin(), whole_.guarded.end(), begin);
    for (; place != whole_.guarded.end() && *place < end; ++place)
      guarded.push_back(*place - begin);
    const std::string_view text = std::string_view(whole_.text).substr(begin, end - begin);
    return tokenizer_.encode_guarded(text, false, true, guarded);
  }
  // Appends tokens, of which the first n are learned.
  void add(const std::vector<Token>& tokens, size_t n) {
    result_.tokens.insert(result_.tokens.end(), tokens.begin(), tokens.end());
    result_.learned.resize(result_.learned.size() + n, 1);
    result_.learned.resize(result_.tokens.size(), 0);
  }
  ChatAnswers take() && {
    if (tokenizer_.adds_bos() &&
        (result_.tokens.empty() || result_.tokens[0] != tokenizer_.bos())) {
      result_.tokens.insert(result_.tokens.begin(), tokenizer_.bos());
      result_.learned.insert(result_.learned.begin(), 0);
    }
    return std::move(result_);
  }

 private:
  const Tokenizer& tokenizer_;
  const Rendered& whole_;
  ChatAnswers result_;
};

// How many bytes of `part` and `whole` are the same; where not all of the part are, not more than
// up to a line or a tag that is.
size_t common_bytes(std::string_view part, std::string_view whole) {
  if (whole.starts_with(part)) return part.size();
  const auto differ = std::ranges::mismatch(part, whole).in1;
  const std::string_view same = part.substr(0, static_cast<size_t>(differ - part.begin()));
  return same.find_last_of("\n>") + 1;  // npos + 1 is 0
}

Status unclear_answers() {
  return Status::bad_input("the chat template does not tell where an answer begins and ends");
}

struct Answer {
  size_t message;
  size_t begin;  // in the text of the whole conversation
};

// Renders a conversation's first messages, with the prompt for an answer or without.
using RenderFirst = std::function<Result<Rendered>(size_t n, bool prompt)>;

Result<std::vector<Answer>> find_answers(const std::vector<ChatMessage>& messages,
                                         const Rendered& whole, const RenderFirst& render_first) {
  std::vector<Answer> answers;
  for (size_t i = 0; i < messages.size(); i++) {
    if (messages[i].role != "assistant") continue;
    ASSIGN_OR_RETURN(const Rendered prompt, render_first(i, true));
    const size_t begin = common_bytes(prompt.text, whole.text);
    if (begin == 0 || (!answers.empty() && begin <= answers.back().begin)) return unclear_answers();
    answers.push_back({i, begin});
  }
  return answers;
}

// Adds an answer and what follows it, up to `next`.
Status add_answer(const Answer& answer, size_t next, const Tokenizer& tokenizer,
                  const Rendered& whole, const RenderFirst& render_first, Stretches& stretches) {
  const std::vector<Token> tokens = stretches.encode(answer.begin, next);
  const auto last =
      std::ranges::find_if(tokens, [&](Token token) { return tokenizer.ends_generation(token); });
  if (last != tokens.end()) {
    stretches.add(tokens, static_cast<size_t>(last - tokens.begin()) + 1);
    return {};
  }
  ASSIGN_OR_RETURN(const Rendered after, render_first(answer.message + 1, false));
  const size_t end = common_bytes(after.text, whole.text);
  if (end <= answer.begin || end > next) return unclear_answers();
  const std::vector<Token> said = stretches.encode(answer.begin, end);
  stretches.add(said, said.size());
  stretches.add(stretches.encode(end, next), 0);
  return {};
}

}  // namespace

Result<ChatTemplate> ChatTemplate::create(const Metadata& metadata) {
  const auto source = metadata.string_at("tokenizer.chat_template");
  if (!source)
    return Status::bad_input("the file has no chat template", "use the model without a chat");
  ChatTemplate result;
  result.bos_ = token_text(metadata, "tokenizer.ggml.bos_token_id");
  result.eos_ = token_text(metadata, "tokenizer.ggml.eos_token_id");
  JinjaOutcome why{};
  JinjaTemplate* form = chat_jinja_open(view(*source), format_time, why);
  if (!form) return text_of(why).status();
  result.form_.reset(form, chat_jinja_close);
  return result;
}

Result<std::string> ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                         bool add_generation_prompt) const {
  ASSIGN_OR_RETURN(Rendered rendered,
                   render_guarded(*form_, bos_, eos_, messages, add_generation_prompt, Guards({})));
  return std::move(rendered.text);
}

Result<std::vector<Token>> ChatTemplate::encode(const Tokenizer& tokenizer,
                                                const std::vector<ChatMessage>& messages,
                                                bool add_generation_prompt) const {
  ASSIGN_OR_RETURN(const Rendered rendered,
                   render_guarded(*form_, bos_, eos_, messages, add_generation_prompt,
                                  Guards(tokenizer.control_texts())));
  std::vector<Token> tokens =
      tokenizer.encode_guarded(rendered.text, false, true, rendered.guarded);
  // Most templates that want a BOS write it themselves.
  if (tokenizer.adds_bos() && (tokens.empty() || tokens[0] != tokenizer.bos()))
    tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

Result<ChatAnswers> ChatTemplate::encode_answers(const Tokenizer& tokenizer,
                                                 const std::vector<ChatMessage>& messages) const {
  const Guards guards(tokenizer.control_texts());
  const auto render_first = [&](size_t n, bool prompt) {
    const std::vector<ChatMessage> some(messages.begin(),
                                        messages.begin() + static_cast<std::ptrdiff_t>(n));
    return render_guarded(*form_, bos_, eos_, some, prompt, guards);
  };
  ASSIGN_OR_RETURN(const Rendered whole, render_first(messages.size(), false));
  ASSIGN_OR_RETURN(const std::vector<Answer> answers, find_answers(messages, whole, render_first));
  Stretches stretches(tokenizer, whole);
  stretches.add(stretches.encode(0, answers.empty() ? whole.text.size() : answers[0].begin), 0);
  for (size_t i = 0; i < answers.size(); i++) {
    const size_t next = i + 1 < answers.size() ? answers[i + 1].begin : whole.text.size();
    TRY(add_answer(answers[i], next, tokenizer, whole, render_first, stretches));
  }
  return std::move(stretches).take();
}

}  // namespace enxuto
