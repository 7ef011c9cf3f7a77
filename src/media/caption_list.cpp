#include "media/caption_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "data/text_files.h"
#include "formats/json.h"
#include "media/csv.h"

namespace enxuto {
namespace {

constexpr const char* kNames[] = {"captions.jsonl", "metadata.jsonl", "captions.csv",
                                  "metadata.csv"};
constexpr std::string_view kFileKeys[] = {"file_name", "file", "image"};
constexpr std::string_view kTextKeys[] = {"text", "caption"};
constexpr size_t kMostLine = size_t{1} << 20;

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string_view line_at(const MappedFile& file, uint64_t begin) {
  const std::string_view rest = text_of(file).substr(begin);
  return rest.substr(0, rest.find('\n'));
}

template <size_t n>
std::optional<std::string_view> string_at_any(JsonElement from, const std::string_view (&keys)[n]) {
  for (const std::string_view key : keys)
    if (const auto text = json_string(from, key)) return text;
  return std::nullopt;
}

Result<std::string> list_at(const std::string& path) {
  if (!is_directory(path)) return path;
  for (const char* name : kNames)
    if (const std::string list = path + "/" + name; file_exists(list)) return list;
  return Status::bad_input(fmt::format("{} has no captions.jsonl", path),
                           R"(write one, a line for each picture: {"file": "a.png", "text": "…"}; )"
                           "or captions.csv, with columns file and text");
}

// Where the first of these names stands in a header; its size: nowhere.
template <size_t n>
size_t column_of(const std::vector<std::string>& header, const std::string_view (&keys)[n]) {
  for (const std::string_view key : keys)
    if (const auto found = std::ranges::find(header, key); found != header.end())
      return static_cast<size_t>(found - header.begin());
  return header.size();
}

Result<Caption> caption_of(std::string_view line) {
  if (line.size() > kMostLine) return Status::bad_input("too long a line");
  ASSIGN_OR_RETURN(const Json json, Json::parse(line));
  const auto file = string_at_any(json.root, kFileKeys);
  const auto text = string_at_any(json.root, kTextKeys);
  if (!file || file->empty() || !text) return Status::bad_input("no object with a file and a text");
  return Caption{std::string(*file), std::string(*text)};
}

}  // namespace

Result<CaptionList> CaptionList::open(const std::vector<std::string>& paths) {
  CaptionList all;
  for (const std::string& path : paths) TRY(all.add(path));
  if (all.size() > 0) return all;
  return Status::bad_input(fmt::format("no captions in {}", paths.empty() ? "nothing" : paths[0]),
                           R"(a line for each picture: {"file": "a.png", "text": "a red heart"})");
}

Status CaptionList::add(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string name, list_at(path));
  List list;
  ASSIGN_OR_RETURN(list.file, MappedFile::open(name));
  const std::string_view text = text_of(*list.file);
  if (name.ends_with(".csv") || name.ends_with(".tsv"))
    TRY(add_rows(text, list));
  else
    add_lines(text);
  lists_.push_back(std::move(list));
  return {};
}

void CaptionList::add_lines(std::string_view text) {
  uint32_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    if (!is_blank(text.substr(begin, end - begin)))
      entries_.push_back({static_cast<uint32_t>(lists_.size()), line, begin});
    begin = end + 1;
  }
}

Result<CaptionList::Columns> CaptionList::columns_in(const CsvRecord& header, char delimiter) {
  const size_t n = header.fields.size();
  const Columns columns{delimiter, column_of(header.fields, kFileKeys),
                        column_of(header.fields, kTextKeys), n};
  if (columns.file < n && columns.text < n) return columns;
  return Status::bad_input("no header with a file and a text",
                           fmt::format("columns are called {}; and {}",
                                       fmt::join(kFileKeys, " or "), fmt::join(kTextKeys, " or ")));
}

Status CaptionList::add_rows(std::string_view text, List& list) {
  const uint32_t n = static_cast<uint32_t>(lists_.size());
  uint32_t line = 1;
  size_t end = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  const char delimiter = csv_delimiter_of(text.substr(0, text.find('\n')));
  for (size_t begin = end; begin < text.size(); begin = end) {
    end = std::min(text.find_first_not_of("\r\n", begin), text.size());  // blank lines
    if (end == begin) {
      const std::string place = fmt::format("{}:{}", list.file->path(), line);
      const Result<CsvRecord> row = first_csv_row(text.substr(begin), delimiter);
      if (!row.ok()) return row.status().in(place);
      if (list.csv) {
        entries_.push_back({n, line, begin});
      } else {
        const Result<Columns> columns = columns_in(*row, delimiter);
        if (!columns.ok()) return columns.status().in(place);
        list.csv = *columns;
      }
      end = begin + row->bytes;
    }
    line += static_cast<uint32_t>(std::ranges::count(text.substr(begin, end - begin), '\n'));
  }
  return {};
}

Result<Caption> CaptionList::caption_in(std::string_view text, const Columns& columns) {
  ASSIGN_OR_RETURN(CsvRecord row, first_csv_row(text, columns.delimiter));
  if (row.fields.size() != columns.n)
    return Status::bad_input(
        fmt::format("{} fields, where the header has {}", row.fields.size(), columns.n));
  Caption caption{std::move(row.fields[columns.file]), std::move(row.fields[columns.text])};
  if (caption.file.empty()) return Status::bad_input("no file is named");
  if (malformed_bytes(caption.file) + malformed_bytes(caption.text) > 0)
    return Status::bad_input("not UTF-8");
  return caption;
}

std::string CaptionList::place_of(const Entry& entry) const {
  return fmt::format("{}:{}", lists_[entry.list].file->path(), entry.line);
}

Result<Caption> CaptionList::at(size_t i) const {
  const Entry& entry = entries_[i];
  const List& list = lists_[entry.list];
  Result<Caption> caption = list.csv
                                ? caption_in(text_of(*list.file).substr(entry.begin), *list.csv)
                                : caption_of(line_at(*list.file, entry.begin));
  if (!caption.ok()) return caption.status().in(place_of(entry));
  const auto folder = std::filesystem::path(list.file->path()).parent_path();
  caption->file = (folder / caption->file).string();
  return caption;
}

}  // namespace enxuto
