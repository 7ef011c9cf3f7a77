#include "media/caption_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "data/text_files.h"
#include "formats/json.h"

namespace enxuto {
namespace {

constexpr const char* kNames[] = {"captions.jsonl", "metadata.jsonl"};
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
                           R"(write one, a line for each picture: {"file": "a.png", "text": "…"})");
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
  ASSIGN_OR_RETURN(const std::string list, list_at(path));
  ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, MappedFile::open(list));
  const std::string_view text = text_of(*file);
  uint32_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    if (!is_blank(text.substr(begin, end - begin)))
      entries_.push_back({static_cast<uint32_t>(lists_.size()), line, begin});
    begin = end + 1;
  }
  lists_.push_back(std::move(file));
  return {};
}

std::string CaptionList::place_of(const Entry& entry) const {
  return fmt::format("{}:{}", lists_[entry.list]->path(), entry.line);
}

Result<Caption> CaptionList::at(size_t i) const {
  const Entry& entry = entries_[i];
  const MappedFile& list = *lists_[entry.list];
  const std::string_view line = line_at(list, entry.begin);
  if (line.size() > kMostLine) return Status::bad_input(place_of(entry) + ": too long a line");
  const Result<Json> json = Json::parse(line);
  if (!json.ok()) return json.status().in(place_of(entry));
  const auto file = string_at_any(json->root, kFileKeys);
  const auto text = string_at_any(json->root, kTextKeys);
  if (!file || file->empty() || !text)
    return Status::bad_input(place_of(entry) + ": no object with a file and a text");
  const auto folder = std::filesystem::path(list.path()).parent_path();
  return Caption{(folder / *file).string(), std::string(*text)};
}

}  // namespace enxuto
