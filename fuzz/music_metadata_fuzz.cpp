// What a model's file says of how it codes music: refused, or each of its events is a token.
#include <string>

#include "fuzz.h"
#include "media/music_codec.h"

namespace enxuto {
namespace {

using fuzz::require;

uint32_t number(fuzz::Input& input) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | input.byte();
  return value;
}

// The vocabulary with one token's name replaced, or cut short.
void change_tokens(fuzz::Input& input, Metadata& metadata) {
  const char* const kTokens = "tokenizer.ggml.tokens";
  auto names = *metadata.find(kTokens)->as_strings();
  names.resize(std::min<size_t>(names.size(), number(input) % 2048));
  if (names.empty()) return metadata.erase(kTokens);
  const auto rest = input.rest();
  names[number(input) % names.size()] = {reinterpret_cast<const char*>(rest.data()), rest.size()};
  metadata.set_strings(kTokens, std::vector<std::string_view>(names));
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  static const Metadata sound = (*MusicCodec::learn({}, {}))->metadata();
  Metadata metadata = sound;
  fuzz::Input input(data, size);
  const uint8_t what = input.byte();
  if (what & 1) metadata.set_u32("enxuto.media.music.first", number(input));
  if (what & 2) metadata.set_u32(kMediaContext, number(input));
  if (what & 4) change_tokens(input, metadata);
  const auto codec = codec_of(metadata);
  if (!codec.ok()) {
    require(codec.status().code() == Code::kBadInput, "refused as bad input");
    return 0;
  }
  const auto& music = static_cast<const MusicCodec&>(**codec);
  const auto names = *metadata.find("tokenizer.ggml.tokens")->as_strings();
  const auto first = static_cast<size_t>(music.tokens().token(Event::kMode));
  require(first + event_names().size() <= names.size(), "events are tokens");
  require(names[first] == "<major>" && music.context() > 0, "they are where it says");
  return 0;
}
