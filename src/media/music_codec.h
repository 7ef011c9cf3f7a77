// Music as a medium: MIDI files into the tokens of music_events.h. Nothing is learned of them, so
// all models of music have the same tokens.
#pragma once

#include <functional>
#include <memory>

#include "media/codec.h"
#include "media/music_events.h"

namespace enxuto {

class MusicCodec : public MediaCodec {
 public:
  static Result<std::unique_ptr<MediaCodec>> learn(const CodecRequest& request,
                                                   const Progress& progress);
  // kBadInput where the model's tokens are not those that this program knows.
  static Result<std::unique_ptr<MediaCodec>> open(const Metadata& metadata);

  const Metadata& metadata() const override { return metadata_; }
  uint32_t context() const override { return context_; }
  // Pieces in an order by chance, the same each time: those that are alike stand together in many a
  // folder, and the last ones are what a training is measured on.
  Result<DataCounts> write_tokens(const std::vector<std::string>& paths, uint64_t fingerprint,
                                  const std::string& out, const Progress& progress) const override;

  const MusicTokens& tokens() const { return tokens_; }
  Token end() const { return 0; }  // <|endoftext|>
  size_t vocabulary() const;

 private:
  MusicCodec(Metadata metadata, Token first, uint32_t context)
      : metadata_(std::move(metadata)), tokens_(first), context_(context) {}

  Metadata metadata_;
  MusicTokens tokens_;
  uint32_t context_;
};

// body(song, path) of each piece of `paths`, on the grid: files that are named, and those of
// folders that end in .mid or .midi. What cannot be read is counted. kBadInput where nothing can,
// with the first one's reason; what body answers, and kInterrupted.
Result<DataCounts> for_each_piece(
    const std::vector<std::string>& paths, const Progress& progress,
    const std::function<Status(const Song& song, const std::string& path)>& body);

}  // namespace enxuto
