#include "cli/cache_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace enxuto {
namespace {

constexpr uint32_t kMostLayers = 100000;

struct LayerTypes {
  uint32_t first, last;
  Type type;
};

Status not_understood(std::string_view text) {
  return Status::usage(fmt::format("'{}' is no format of the KV cache", text),
                       "choose f16, q8_0 or q4_0; layers with another one follow, as in "
                       "q4_0,0-2=q8_0");
}

bool parse_type(std::string_view text, Type& type) {
  const Codec* codec = find_codec(text);
  if (!codec || kv_row_bytes(codec->type, codec->block_values) == 0) return false;
  type = codec->type;
  return true;
}

bool parse_layer(std::string_view text, uint32_t& layer) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  return error == std::errc() && end == text.data() + text.size() && layer < kMostLayers;
}

// "3=q8_0" or "0-2=q8_0"
bool parse_layers(std::string_view text, LayerTypes& layers) {
  const size_t equals = text.find('='), dash = text.substr(0, equals).find('-');
  if (equals == text.npos || !parse_type(text.substr(equals + 1), layers.type)) return false;
  const std::string_view range = text.substr(0, equals);
  if (!parse_layer(range.substr(0, dash), layers.first)) return false;
  layers.last = layers.first;
  if (dash != range.npos && !parse_layer(range.substr(dash + 1), layers.last)) return false;
  return layers.first <= layers.last;
}

}  // namespace

Status set_cache_types(std::string_view text, Type KvFormat::*part,
                       std::vector<KvFormat>& formats) {
  const std::string_view all = text;
  const size_t comma = text.find(',');
  Type base;
  if (!parse_type(text.substr(0, comma), base)) return not_understood(all);
  std::vector<LayerTypes> others;
  size_t n = 1;
  while (comma != all.npos && text.find(',') != text.npos) {
    text.remove_prefix(text.find(',') + 1);
    LayerTypes layers;
    if (!parse_layers(text.substr(0, text.find(',')), layers)) return not_understood(all);
    n = std::max<size_t>(n, layers.last + size_t{2});  // the one behind stands for the rest
    others.push_back(layers);
  }
  const KvFormat rest = formats.empty() ? KvFormat() : formats.back();
  formats.resize(std::max(n, formats.size()), rest);
  for (KvFormat& format : formats) format.*part = base;
  for (const LayerTypes& layers : others)
    for (uint32_t l = layers.first; l <= layers.last; ++l) formats[l].*part = layers.type;
  return {};
}

}  // namespace enxuto
