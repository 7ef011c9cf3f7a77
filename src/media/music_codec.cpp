#include "media/music_codec.h"

#include <fmt/format.h>

#include <filesystem>

#include "data/shuffled_order.h"
#include "data/text_files.h"
#include "media/media_vocabulary.h"
#include "media/midi_file.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr const char* kFirst = "enxuto.media.music.first";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr uint32_t kContext = 768;  // some twenty bars in four voices
constexpr uint32_t kMostContext = 1 << 20;
constexpr uint64_t kOrderSeed = 1;

bool is_midi(const std::string& path) {
  const std::string ending = std::filesystem::path(path).extension().string();
  return ending == ".mid" || ending == ".midi" || ending == ".MID";
}

Status check_names(const Metadata& metadata, uint64_t first) {
  const MetaValue* value = metadata.find(kTokens);
  const auto tokens = value ? value->as_strings() : std::nullopt;
  const std::vector<std::string> names = event_names();
  if (tokens && first < tokens->size() && tokens->size() - first >= names.size() &&
      std::ranges::equal(names, std::span(*tokens).subspan(first, names.size())))
    return {};
  return Status::bad_input("the model's tokens of music are not those of this program",
                           "train it anew: enxuto train --media music");
}

// Counts what becomes of files.
class Pieces {
 public:
  Status add(const TextFile& file,
             const std::function<Status(const Song&, const std::string&)>& body) {
    if (!file.named && !is_midi(file.path)) {
      counts_.skipped_files++;
      return {};
    }
    counts_.bytes += file.bytes;
    auto song = read_midi(file.path);
    if (song.ok()) {
      song = on_grid(*song);
      if (!song.ok()) song = song.status().in(file.path);
    }
    if (!song.ok()) {
      if (counts_.corrupt++ == 0) counts_.first_corrupt = song.status().what();
      return {};
    }
    if (song->notes.empty()) {
      counts_.empty++;
      return {};
    }
    counts_.documents++;
    return body(*song, file.path);
  }
  Result<DataCounts> finish(const std::string& path) {
    if (counts_.documents > 0) return std::move(counts_);
    std::string what = fmt::format("no music in {}: {} files without notes, {} broken, {} no MIDI",
                                   path, counts_.empty, counts_.corrupt, counts_.skipped_files);
    if (counts_.corrupt > 0) what += "; the first is " + counts_.first_corrupt;
    return Status::bad_input(what, "give MIDI files (.mid), or folders of them");
  }

 private:
  DataCounts counts_;
};

}  // namespace

Result<DataCounts> for_each_piece(
    const std::vector<std::string>& paths, const Progress& progress,
    const std::function<Status(const Song&, const std::string&)>& body) {
  ASSIGN_OR_RETURN(const std::vector<TextFile> files, find_text_files(paths));
  Pieces pieces;
  if (!files.empty()) {
    const ShuffledOrder order(files.size(), kOrderSeed);
    for (size_t i = 0; i < files.size(); ++i) {
      if (interrupted()) return Status::interrupted();
      TRY(pieces.add(files[order[i]], body));
      if (progress) progress("reading music", static_cast<double>(i + 1) / files.size());
    }
  }
  return pieces.finish(paths.front());
}

Result<std::unique_ptr<MediaCodec>> MusicCodec::learn(const CodecRequest&, const Progress&) {
  ASSIGN_OR_RETURN(Metadata metadata, byte_vocabulary());
  const Token first = append_tokens(metadata, event_names());
  metadata.set_string(kMediaKind, "music");
  metadata.set_u32(kMediaContext, kContext);
  metadata.set_u32(kFirst, static_cast<uint32_t>(first));
  return open(metadata);
}

Result<std::unique_ptr<MediaCodec>> MusicCodec::open(const Metadata& metadata) {
  const auto first = metadata.unsigned_at(kFirst), context = metadata.unsigned_at(kMediaContext);
  if (!first || !context || *context == 0 || *context > kMostContext)
    return Status::bad_input("the model does not say how it codes music");
  TRY(check_names(metadata, *first));
  return std::unique_ptr<MediaCodec>(
      new MusicCodec(metadata, static_cast<Token>(*first), static_cast<uint32_t>(*context)));
}

size_t MusicCodec::vocabulary() const { return metadata_.find(kTokens)->count; }

Result<DataCounts> MusicCodec::write_tokens(const std::vector<std::string>& paths,
                                            uint64_t fingerprint, const std::string& out,
                                            const Progress& progress) const {
  ASSIGN_OR_RETURN(TokenFileWriter writer, TokenFileWriter::create(out, vocabulary(), fingerprint));
  ASSIGN_OR_RETURN(DataCounts counts,
                   for_each_piece(paths, progress, [&](const Song& song, const std::string&) {
                     std::vector<Token> tokens = {end()};
                     const auto piece = encode_music(tokens_, song, find_key(song), true);
                     tokens.insert(tokens.end(), piece.begin(), piece.end());
                     return writer.add(tokens, true);
                   }));
  TRY(writer.add(std::vector<Token>{end()}, true));
  counts.tokens = writer.n_tokens(), counts.learned_tokens = writer.n_learned();
  TRY(writer.finish(counts));
  return counts;
}

}  // namespace enxuto
