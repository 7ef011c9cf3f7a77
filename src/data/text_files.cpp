#include "data/text_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

namespace fs = std::filesystem;

constexpr size_t kReadBytes = kPartBytes;
constexpr uint64_t kMostMalformedShare = 4;  // of another encoding's text most is ASCII

bool is_json_lines(const std::string& path) {
  const std::string ending = fs::path(path).extension().string();
  return ending == ".jsonl" || ending == ".ndjson";
}

Result<TextFile> file_at(const std::string& path, bool named) {
  ASSIGN_OR_RETURN(const InputFile file, InputFile::open(path));
  return TextFile{path, is_json_lines(path), named, file.size(), file.modified_nanoseconds()};
}

// In order; a file that several names lead to (by links) once, under the first of them.
Result<std::vector<std::string>> names_below(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (hidden && entry->is_directory(ignored)) entry.disable_recursion_pending();
    if (!hidden && entry->is_regular_file(ignored)) names.push_back(entry->path().string());
  }
  if (error)
    return Status::bad_input(fmt::format("cannot read the folder {}: {}", folder, error.message()),
                             "check its permissions");
  std::sort(names.begin(), names.end());
  std::set<std::string> met;
  std::erase_if(names, [&](const std::string& name) {
    std::error_code ignored;
    const fs::path real = fs::canonical(name, ignored);
    return !ignored && !met.insert(real.string()).second;
  });
  return names;
}

// Without the bytes of a character that is cut off at the end.
size_t whole_characters(std::string_view text) {
  size_t start = text.size();
  while (start > 0 && text.size() - start < 4 &&
         (static_cast<uint8_t>(text[--start]) & 0xC0) == 0x80)
    continue;
  return start > 0 && start + utf8_length(text[start]) > text.size() ? start : text.size();
}

// Reads more behind what is left of a buffer; false at the end of the file.
Result<bool> read_more(InputFile& file, std::string& buffer, size_t& taken) {
  buffer.erase(0, taken);
  taken = 0;
  const size_t before = buffer.size();
  buffer.resize(before + kReadBytes);
  ASSIGN_OR_RETURN(const uint64_t got, file.read({buffer.data() + before, kReadBytes}));
  buffer.resize(before + got);
  return got == kReadBytes;
}

}  // namespace

Result<std::vector<TextFile>> find_text_files(const std::vector<std::string>& paths) {
  if (paths.empty()) return Status::usage("no text was given", "name text files or folders");
  std::vector<TextFile> files;
  for (const std::string& path : paths) {
    if (!is_directory(path)) {
      ASSIGN_OR_RETURN(TextFile file, file_at(path, /*named=*/true));
      files.push_back(std::move(file));
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> names, names_below(path));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(TextFile file, file_at(name, /*named=*/false));
      files.push_back(std::move(file));
    }
  }
  return files;
}

uint64_t malformed_bytes(std::string_view text) {
  if (is_canonical_utf8(text)) return 0;
  const auto replacements = [](std::string_view in) {
    uint64_t n = 0;
    for (size_t at = 0; (at = in.find("\xEF\xBF\xBD", at)) != std::string_view::npos; at += 3) n++;
    return n;
  };
  return replacements(canonical_utf8(text)) - replacements(text);
}

bool looks_like_text(std::string_view beginning) {
  beginning = beginning.substr(0, kPartBytes);
  return beginning.find('\0') == std::string_view::npos &&
         malformed_bytes(beginning) <= beginning.size() / kMostMalformedShare;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

size_t first_part(std::string_view text, bool complete, const TextCuts& cuts) {
  for (size_t most = kPartBytes; most <= kMostPartBytes; most *= 2) {
    if (text.size() <= most) return complete ? text.size() : 0;
    if (const size_t cut = cuts.last(text.substr(0, most))) return cut;
  }
  return whole_characters(text.substr(0, kMostPartBytes));
}

Result<std::string_view> TextParts::next() {
  for (;;) {
    const std::string_view left = std::string_view(buffer_).substr(taken_);
    const size_t part = first_part(left, complete_, cuts_);
    if (part > 0 || complete_) {
      taken_ += part;
      return left.substr(0, part);
    }
    ASSIGN_OR_RETURN(const bool more, read_more(file_, buffer_, taken_));
    complete_ = !more;
  }
}

Status TextLines::fill() {
  const size_t before = buffer_.size() - taken_;
  ASSIGN_OR_RETURN(const bool more, read_more(file_, buffer_, taken_));
  bytes_ += buffer_.size() - before;
  complete_ = !more;
  return {};
}

Result<TextLines::Line> TextLines::next() {
  Line line;
  for (size_t seen = 0;;) {
    const std::string_view left = std::string_view(buffer_).substr(taken_);
    const size_t end = left.find('\n', seen);
    const bool found = end != std::string_view::npos;
    if (found || complete_) {
      taken_ += found ? end + 1 : left.size();
      line.end = !found && left.empty() && !line.too_long;
      number_ += line.end ? 0 : 1;
      line.too_long = line.too_long || (found ? end : left.size()) > most_;
      if (!line.too_long) line.text = left.substr(0, end);
      return line;
    }
    seen = left.size();
    if (line.too_long || seen > most_) {
      line.too_long = true;
      taken_ = buffer_.size();
      seen = 0;
    }
    TRY(fill());
  }
}

}  // namespace enxuto
