#include "data/tokenize.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "data/example.h"
#include "data/text_files.h"
#include "platform/interrupt.h"
#include "tokenizer/chat.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {
namespace {

constexpr const char* kStage = "tokenizing";
constexpr uint64_t kReportBytes = kPartBytes;  // between two reports of progress

// The token that ends a document: models that chat have another EOS, which ends a turn.
Token end_of_text(const Tokenizer& tokenizer) {
  for (const std::string_view text : {"<|endoftext|>", "<|end_of_text|>"})
    if (const Token token = tokenizer.vocabulary().find(text); tokenizer.ends_generation(token))
      return token;
  return tokenizer.eos();
}

Result<std::optional<ChatTemplate>> chat_template_of(const Tokenizer& tokenizer) {
  if (!tokenizer.metadata().find("tokenizer.chat_template")) return std::optional<ChatTemplate>();
  ASSIGN_OR_RETURN(ChatTemplate chat, ChatTemplate::create(tokenizer.metadata()));
  return std::optional<ChatTemplate>(std::move(chat));
}

// Documents into a token file.
class DocumentWriter {
 public:
  DocumentWriter(const Tokenizer& tokenizer, std::optional<ChatTemplate> chat, TokenFileWriter out)
      : tokenizer_(tokenizer),
        cuts_(tokenizer),
        chat_(std::move(chat)),
        end_(end_of_text(tokenizer)),
        out_(std::move(out)) {}

  const TextCuts& cuts() const { return cuts_; }
  Status begin();
  // `first`: nothing of the document stands before it. No longer than a part.
  Status add_part(std::string_view text, bool first, bool learned);
  Status end(bool learned);
  Status add_text(std::string_view text);
  // kBadInput where the chat template does not take these turns; nothing is written then.
  Status add_turns(const std::vector<ChatMessage>& turns);
  uint64_t n_tokens() const { return out_.n_tokens(); }
  uint64_t n_learned() const { return out_.n_learned(); }
  Status finish(const DataCounts& counts) { return out_.finish(counts); }

 private:
  Status add_parts(std::string_view text, bool first, bool learned);
  Status add_joined(const std::vector<ChatMessage>& turns);
  Status add_rendered(const std::vector<ChatMessage>& turns);
  Status add_token(Token token, bool learned);

  const Tokenizer& tokenizer_;
  TextCuts cuts_;
  std::optional<ChatTemplate> chat_;
  Token end_;
  TokenFileWriter out_;
  std::vector<Token> tokens_;
};

Status DocumentWriter::add_token(Token token, bool learned) {
  return token < 0 ? Status() : out_.add({&token, 1}, learned);
}

// That a BOS follows an end of text is as true as the rest, so it is learned too.
Status DocumentWriter::begin() {
  return tokenizer_.adds_bos() ? add_token(tokenizer_.bos(), true) : Status();
}

Status DocumentWriter::end(bool learned) { return add_token(end_, learned); }

Status DocumentWriter::add_part(std::string_view text, bool first, bool learned) {
  tokens_.clear();
  tokenizer_.encode_part(text, first, tokens_);
  return out_.add(tokens_, learned);
}

Status DocumentWriter::add_parts(std::string_view text, bool first, bool learned) {
  while (!text.empty()) {
    const size_t part = first_part(text, /*complete=*/true, cuts_);
    TRY(add_part(text.substr(0, part), first, learned));
    text.remove_prefix(part);
    first = false;
  }
  return {};
}

Status DocumentWriter::add_text(std::string_view text) {
  TRY(begin());
  TRY(add_parts(text, true, true));
  return end(true);
}

Status DocumentWriter::add_turns(const std::vector<ChatMessage>& turns) {
  return chat_ ? add_rendered(turns) : add_joined(turns);
}

Status DocumentWriter::add_joined(const std::vector<ChatMessage>& turns) {
  const auto is_space = [](char c) { return is_blank({&c, 1}); };
  TRY(begin());
  bool first = true, learned = false;
  char before = '\n';
  for (const ChatMessage& turn : turns) {
    if (turn.content.empty()) continue;
    learned = turn.role == "assistant";
    if (!is_space(before) && !is_space(turn.content.front())) TRY(add_part("\n", false, false));
    TRY(add_parts(turn.content, first, learned));
    before = turn.content.back();
    first = false;
  }
  return end(learned);
}

Status DocumentWriter::add_rendered(const std::vector<ChatMessage>& turns) {
  ASSIGN_OR_RETURN(const ChatAnswers chat, chat_->encode_answers(tokenizer_, turns));
  for (size_t i = 0; i < chat.tokens.size();) {
    size_t next = i;
    while (next < chat.tokens.size() && chat.learned[next] == chat.learned[i]) next++;
    TRY(out_.add(std::span(chat.tokens).subspan(i, next - i), chat.learned[i] != 0));
    i = next;
  }
  return !chat.tokens.empty() && chat.tokens.back() == end_ ? Status() : end(false);
}

// Files into documents.
class Maker {
 public:
  Maker(DocumentWriter out, const std::vector<TextFile>& files, const Progress& progress)
      : out_(std::move(out)), progress_(progress) {
    for (const TextFile& file : files) all_bytes_ += file.bytes;
  }
  Status add(const TextFile& file);
  Result<DataCounts> finish(const std::vector<std::string>& paths);

 private:
  Status add_text_file(const TextFile& file);
  Result<bool> check_beginning(const TextFile& file, std::string_view part);
  Status add_json_lines(const TextFile& file);
  Status add_line(const TextLines::Line& line, const std::string& path, uint64_t number);
  Status add_example(std::string_view line);
  Status report(uint64_t bytes_of_file);

  DocumentWriter out_;
  const Progress& progress_;
  uint64_t all_bytes_ = 0, done_bytes_ = 0, reported_ = 0;
  DataCounts counts_;
};

Status Maker::report(uint64_t bytes_of_file) {
  if (interrupted()) return Status::interrupted();
  const uint64_t bytes = done_bytes_ + bytes_of_file;
  if (!progress_ || bytes < reported_ + kReportBytes) return {};
  reported_ = bytes;
  progress_(kStage, std::min(1.0, static_cast<double>(bytes) / static_cast<double>(all_bytes_)));
  return {};
}

Status Maker::add(const TextFile& file) {
  TRY(file.json_lines ? add_json_lines(file) : add_text_file(file));
  done_bytes_ += file.bytes;
  return {};
}

Status Maker::add_text_file(const TextFile& file) {
  ASSIGN_OR_RETURN(InputFile input, InputFile::open(file.path));
  TextParts parts(std::move(input), out_.cuts());
  uint64_t bytes = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string_view part, parts.next());
    if (bytes == 0) {
      ASSIGN_OR_RETURN(const bool usable, check_beginning(file, part));
      if (!usable) return {};
      TRY(out_.begin());
    }
    if (part.empty()) break;
    TRY(out_.add_part(part, bytes == 0, true));
    bytes += part.size();
    counts_.malformed_bytes += malformed_bytes(part);
    TRY(report(bytes));
  }
  counts_.bytes += bytes;
  counts_.documents++;
  return out_.end(true);
}

// Whether a text file that begins with this part is a document; if not, that is counted.
Result<bool> Maker::check_beginning(const TextFile& file, std::string_view part) {
  if (is_blank(part) && part.size() >= file.bytes) {
    counts_.empty++;
    return false;
  }
  if (looks_like_text(part)) return true;
  counts_.skipped_files++;
  if (!file.named) return false;
  return Status::bad_input(fmt::format("{} is no text but binary data", file.path),
                           "give text files, best in UTF-8");
}

Status Maker::add_json_lines(const TextFile& file) {
  ASSIGN_OR_RETURN(InputFile input, InputFile::open(file.path));
  TextLines lines(std::move(input), kMostLineBytes);
  for (;;) {
    ASSIGN_OR_RETURN(const TextLines::Line line, lines.next());
    if (line.end) break;
    TRY(add_line(line, file.path, lines.number()));
    TRY(report(lines.bytes()));
  }
  counts_.bytes += lines.bytes();
  return {};
}

Status Maker::add_line(const TextLines::Line& line, const std::string& path, uint64_t number) {
  Status added;
  if (line.too_long) {
    added = Status::bad_input(fmt::format("longer than {}", format_bytes(kMostLineBytes)));
  } else if (is_blank(line.text)) {
    counts_.empty++;
  } else {
    added = add_example(line.text);
  }
  if (added.code() != Code::kBadInput) return added;
  if (counts_.corrupt++ == 0)
    counts_.first_corrupt = fmt::format("{}:{}: {}", path, number, added.what());
  return {};
}

// kBadInput where it cannot be used; nothing was written then.
Status Maker::add_example(std::string_view line) {
  ASSIGN_OR_RETURN(const Example example, parse_example(line));
  if (example.empty) {
    counts_.empty++;
    return {};
  }
  TRY(example.turns.empty() ? out_.add_text(example.text) : out_.add_turns(example.turns));
  counts_.documents++;
  return {};
}

Result<DataCounts> Maker::finish(const std::vector<std::string>& paths) {
  counts_.tokens = out_.n_tokens();
  counts_.learned_tokens = out_.n_learned();
  if (counts_.learned_tokens > 0) {
    TRY(out_.finish(counts_));
    return counts_;
  }
  std::string what = fmt::format("nothing to learn in {}", paths[0]);
  if (paths.size() > 1) what += fmt::format(" and {} more", paths.size() - 1);
  what += fmt::format(": {} empty, {} corrupt, {} files no text", counts_.empty, counts_.corrupt,
                      counts_.skipped_files);
  if (counts_.corrupt > 0) what += fmt::format("; the first is {}", counts_.first_corrupt);
  return Status::bad_input(what, "give text files, folders of them, or JSON lines (.jsonl)");
}

uint64_t hash_on(uint64_t hash, std::string_view text) {
  return XXH3_64bits_withSeed(text.data(), text.size(), hash);
}

// A chat template belongs to it, and what a medium is coded by: they make tokens too.
uint64_t hash_of(const Tokenizer& tokenizer, uint64_t hash) {
  for (const auto& [key, value] : tokenizer.metadata().entries()) {
    if (!key.starts_with("tokenizer.") && !key.starts_with("enxuto.")) continue;
    hash = hash_on(hash_on(hash, key),
                   {reinterpret_cast<const char*>(value.payload.data()), value.payload.size()});
  }
  return hash;
}

uint64_t fingerprint_of(const Tokenizer& tokenizer, const std::vector<TextFile>& files) {
  uint64_t hash = hash_of(tokenizer, /*hash=*/1);  // the way tokens are made: another, another 1
  for (const TextFile& file : files)
    hash =
        hash_on(hash, fmt::format("{}\n{} {}", file.path, file.bytes, file.modified_nanoseconds));
  return hash;
}

}  // namespace

Result<DataCounts> write_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& paths,
                                const std::string& out, const Progress& progress) {
  ASSIGN_OR_RETURN(const std::vector<TextFile> files, find_text_files(paths));
  ASSIGN_OR_RETURN(std::optional<ChatTemplate> chat, chat_template_of(tokenizer));
  ASSIGN_OR_RETURN(
      TokenFileWriter writer,
      TokenFileWriter::create(out, tokenizer.vocabulary_size(), fingerprint_of(tokenizer, files)));
  Maker maker(DocumentWriter(tokenizer, std::move(chat), std::move(writer)), files, progress);
  for (const TextFile& file : files) TRY(maker.add(file));
  return maker.finish(paths);
}

Result<uint64_t> data_fingerprint(const Tokenizer& tokenizer,
                                  const std::vector<std::string>& paths) {
  ASSIGN_OR_RETURN(const std::vector<TextFile> files, find_text_files(paths));
  return fingerprint_of(tokenizer, files);
}

}  // namespace enxuto
