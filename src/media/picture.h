// Pictures: PNG files in and out (libpng), and other sizes of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "platform/file.h"

namespace enxuto {

struct Picture {
  uint32_t width = 0, height = 0;
  uint32_t channels = 3;        // 1: grey, 3: red, green, blue
  std::vector<uint8_t> pixels;  // (height, width, channels), sRGB

  static Picture blank(uint32_t width, uint32_t height, uint32_t channels);  // white
  uint8_t* at(uint32_t x, uint32_t y) { return pixels.data() + (size_t{y} * width + x) * channels; }
  const uint8_t* at(uint32_t x, uint32_t y) const {
    return pixels.data() + (size_t{y} * width + x) * channels;
  }
};

// Larger ones are refused before anything is decoded.
inline constexpr uint32_t kMostPictureSide = 2048;

// In colour; what is transparent shows white. kBadInput where it is no sound PNG.
Result<Picture> parse_png(ByteView bytes);
Result<Picture> read_png(const std::string& path);
// Beside its name, then in its place.
Status write_png(const Picture& picture, const std::string& path, bool replace);

bool is_grey(const Picture& picture);
// A square of `side`, each pixel the mean of those it covers. What is not square stands in the
// middle of white.
Picture squared(const Picture& picture, uint32_t side, uint32_t channels);
// Pictures of one size in rows, about as many as there are columns, with white between them.
Picture contact_sheet(std::span<const Picture> pictures);

}  // namespace enxuto
