// A medium as tokens: all that music, pictures or tables are to the engine. Files become sequences
// of tokens, a decoder learns them like any text, and what it writes becomes files again.
//
// A codec is made from the files that a model will learn from (learn_codec) and travels in the
// model's metadata: its tokens as a vocabulary (tokenizer.ggml.*), its parameters as
// enxuto.media.*. What a file says of itself is untrusted like the rest of it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "data/token_file.h"
#include "formats/gguf.h"

namespace enxuto {

inline constexpr const char* kMediaPrefix = "enxuto.media.";
inline constexpr const char* kMediaKind = "enxuto.media.kind";
inline constexpr const char* kMediaContext = "enxuto.media.context";

struct CodecFact {
  std::string name;  // "bytes_per_picture"
  double value;
};

class MediaCodec {
 public:
  virtual ~MediaCodec() = default;

  virtual const Metadata& metadata() const = 0;  // tokenizer.ggml.* and enxuto.media.*
  // Tokens of a sequence that suit it (kMediaContext). What is a whole (a picture, some rows of a
  // table) is padded to as many, so that it begins where a window of training begins.
  virtual uint32_t context() const = 0;
  // What `inspect` says of it.
  virtual std::vector<CodecFact> facts() const { return {}; }
  // What it found in the files, for people: lines, as one for each column; empty: nothing to tell.
  virtual std::string description() const { return {}; }
  // Writes what `paths` hold as a token file (data/token_file.h), in a stream. Errors: kBadInput
  // where nothing in them can be used; what cannot is counted, and the first of it named.
  virtual Result<DataCounts> write_tokens(const std::vector<std::string>& paths,
                                          uint64_t fingerprint, const std::string& out,
                                          const Progress& progress) const = 0;
};

struct CodecRequest {
  std::vector<std::string> paths;
  uint64_t memory_bytes = 0;  // that learning it may take
  uint64_t seed = 1;
};

// Names that --media takes, as "music, image or table".
std::string known_media();
// kUsage where there is no such medium.
Result<std::unique_ptr<MediaCodec>> learn_codec(std::string_view kind, const CodecRequest& request,
                                                const Progress& progress);

// What a model's tokens are of: "music"; empty: text.
std::string_view media_kind(const Metadata& metadata);
// That of a model which is of a medium. The metadata's bytes must outlive it. kBadInput where what
// it says of itself is not sound.
Result<std::unique_ptr<MediaCodec>> codec_of(const Metadata& metadata);

}  // namespace enxuto
