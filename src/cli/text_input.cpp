#include "cli/text_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/utf8.h"
#include "media/codec.h"
#include "media/media_text.h"
#include "platform/file.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr uint64_t kMostBytes = kGiB;
// A text in another encoding still has mostly ASCII; bytes of a picture or a model do not.
constexpr size_t kMostMalformedShare = 4;

}  // namespace

Status check_text(std::string_view text, const std::string& name) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Status::bad_input(fmt::format("{} is empty", name), "give a text with words in it");
  const Status binary = Status::bad_input(fmt::format("{} is no text but binary data", name),
                                          "give a text file, best in UTF-8");
  if (text.find('\0') != std::string_view::npos) return binary;
  size_t malformed = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length_at(text, i);
    malformed += length == 0;
    i += std::max<size_t>(1, length);
  }
  return malformed > text.size() / kMostMalformedShare ? binary : Status();
}

Result<std::string> read_text(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, read_text_file(path, kMostBytes));
  TRY(check_text(text, path));
  return text;
}

Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
    text.append(buffer.data(), got);
    if (text.size() > kMostBytes)
      return Status::bad_input("standard input has more than 1 GiB", "give a shorter prompt");
  }
  if (interrupted()) return Status::interrupted();
  if (std::ferror(stdin))
    return Status::failed(fmt::format("cannot read standard input: {}", std::strerror(errno)));
  TRY(check_text(text, "standard input"));
  return text;
}

Result<std::string> read_text_for(const Model& model, const std::string& path,
                                  const Progress& progress) {
  if (media_kind(model.metadata).empty()) return read_text(path);
  const auto beside = std::filesystem::temp_directory_path() / "enxuto";
  return media_text(model.metadata, path, beside.string(), progress);
}

Result<std::string> calibration_text_for(const Model& model, const std::string& path,
                                         const Progress& progress) {
  if (!path.empty()) return read_text_for(model, path, progress);
  if (media_kind(model.metadata).empty()) return std::string();
  return Status::usage("a model of a medium calibrates on files like those it learned from",
                       "name some: --calibration PATH");
}

uint32_t chunk_tokens_of(const Model& model) {
  const uint32_t step = sequence_step(model.metadata);
  return step > 1 ? step : kChunkTokens;
}

}  // namespace enxuto
