#include "media/codec.h"

#include <fmt/format.h>

#include <span>

#include "media/image_codec.h"
#include "media/music_codec.h"
#include "media/table_codec.h"

namespace enxuto {
namespace {

// A medium is a row.
struct Medium {
  std::string_view kind;
  Result<std::unique_ptr<MediaCodec>> (*learn)(const CodecRequest&, const Progress&);
  Result<std::unique_ptr<MediaCodec>> (*open)(const Metadata&);
};

std::span<const Medium> media() {
  static constexpr Medium kMedia[] = {
      {"image", ImageCodec::learn, ImageCodec::open},
      {"music", MusicCodec::learn, MusicCodec::open},
      {"table", TableCodec::learn, TableCodec::open},
  };
  return kMedia;
}

const Medium* find(std::string_view kind) {
  for (const Medium& each : media())
    if (each.kind == kind) return &each;
  return nullptr;
}

}  // namespace

std::string known_media() {
  std::string names;
  for (size_t i = 0; i < media().size(); ++i)
    names += fmt::format("{}{}",
                         i == 0                   ? ""
                         : i + 1 < media().size() ? ", "
                                                  : " or ",
                         media()[i].kind);
  return names;
}

Result<std::unique_ptr<MediaCodec>> learn_codec(std::string_view kind, const CodecRequest& request,
                                                const Progress& progress) {
  if (const Medium* medium = find(kind)) return medium->learn(request, progress);
  return Status::usage(fmt::format("'{}' is no medium", kind), "choose " + known_media());
}

std::string_view media_kind(const Metadata& metadata) {
  return metadata.string_at(kMediaKind).value_or("");
}

Result<std::unique_ptr<MediaCodec>> codec_of(const Metadata& metadata) {
  const std::string_view kind = media_kind(metadata);
  if (const Medium* medium = find(kind)) return medium->open(metadata);
  return Status::bad_input(fmt::format("the model's medium '{}' is not known", kind),
                           "known are " + known_media());
}

}  // namespace enxuto
