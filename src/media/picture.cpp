#include "media/picture.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace enxuto {
namespace {

constexpr uint64_t kMostFileBytes = uint64_t{64} << 20;
constexpr uint32_t kGap = 2;  // pixels between pictures of a sheet

// libpng's simplified interface, which returns errors and never jumps.
struct Png {
  png_image image{};
  Png() { image.version = PNG_IMAGE_VERSION; }
  ~Png() { png_image_free(&image); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
  Status error() const { return Status::bad_input(fmt::format("no sound PNG: {}", image.message)); }
};

// The share of source pixel [i, i + 1) that [begin, end) covers.
double overlap(double begin, double end, uint32_t i) {
  return std::max(0.0, std::min(end, i + 1.0) - std::max<double>(begin, i));
}

// A pixel of a square around the picture.
struct Area {
  double left, top, right, bottom;  // in the picture's pixels; parts of it may lie outside
};

void mean_of(const Picture& picture, const Area& area, double sums[3]) {
  const auto first = [](double at) { return static_cast<uint32_t>(std::max(0.0, std::floor(at))); };
  const auto last = [](double at, uint32_t n) {
    return static_cast<uint32_t>(std::clamp<double>(std::ceil(at), 0, n));
  };
  double covered = 0;
  for (uint32_t y = first(area.top); y < last(area.bottom, picture.height); ++y)
    for (uint32_t x = first(area.left); x < last(area.right, picture.width); ++x) {
      const double share = overlap(area.left, area.right, x) * overlap(area.top, area.bottom, y);
      const uint8_t* pixel = picture.at(x, y);
      for (uint32_t c = 0; c < 3; ++c) sums[c] += share * pixel[picture.channels == 1 ? 0 : c];
      covered += share;
    }
  const double all = (area.right - area.left) * (area.bottom - area.top);
  for (uint32_t c = 0; c < 3; ++c) sums[c] = (sums[c] + 255 * (all - covered)) / all;
}

uint8_t to_byte(double value) {
  return static_cast<uint8_t>(std::clamp(std::round(value), 0.0, 255.0));
}

}  // namespace

Picture Picture::blank(uint32_t width, uint32_t height, uint32_t channels) {
  return {width, height, channels, std::vector<uint8_t>(size_t{width} * height * channels, 255)};
}

Result<Picture> parse_png(ByteView bytes) {
  Png png;
  if (!png_image_begin_read_from_memory(&png.image, bytes.data(), bytes.size())) return png.error();
  const uint32_t width = png.image.width, height = png.image.height;
  if (width == 0 || height == 0 || width > kMostPictureSide || height > kMostPictureSide)
    return Status::bad_input(fmt::format("a picture of {} x {} pixels; at most {} x {} are read",
                                         width, height, kMostPictureSide, kMostPictureSide));
  png.image.format = PNG_FORMAT_RGB;
  Picture picture = Picture::blank(width, height, 3);
  const png_color white = {255, 255, 255};
  if (!png_image_finish_read(&png.image, &white, picture.pixels.data(), /*row_stride=*/0, nullptr))
    return png.error();
  return picture;
}

Result<Picture> read_png(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, read_text_file(path, kMostFileBytes));
  Result<Picture> picture =
      parse_png({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  if (!picture.ok()) return picture.status().in(path);
  return picture;
}

Status write_png(const Picture& picture, const std::string& path, bool replace) {
  Png png;
  png.image.width = picture.width, png.image.height = picture.height;
  png.image.format = picture.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png.image);
  const auto bytes = std::make_unique<uint8_t[]>(size);
  if (!png_image_write_to_memory(&png.image, bytes.get(), &size, 0, picture.pixels.data(), 0,
                                 nullptr))
    return Status::failed(fmt::format("{}: {}", path, png.image.message));
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, replace));
  TRY(file.write({bytes.get(), size}));
  return file.commit();
}

bool is_grey(const Picture& picture) {
  if (picture.channels == 1) return true;
  for (size_t i = 0; i < picture.pixels.size(); i += 3)
    if (picture.pixels[i] != picture.pixels[i + 1] || picture.pixels[i] != picture.pixels[i + 2])
      return false;
  return true;
}

Picture squared(const Picture& picture, uint32_t side, uint32_t channels) {
  Picture square = Picture::blank(side, side, channels);
  const double around = std::max(picture.width, picture.height), step = around / side;
  const double left = (picture.width - around) / 2, top = (picture.height - around) / 2;
  for (uint32_t y = 0; y < side; ++y)
    for (uint32_t x = 0; x < side; ++x) {
      double means[3] = {};
      mean_of(picture,
              {left + x * step, top + y * step, left + (x + 1) * step, top + (y + 1) * step},
              means);
      uint8_t* pixel = square.at(x, y);
      if (channels == 1)
        pixel[0] = to_byte(0.299 * means[0] + 0.587 * means[1] + 0.114 * means[2]);
      else
        for (uint32_t c = 0; c < 3; ++c) pixel[c] = to_byte(means[c]);
    }
  return square;
}

Picture contact_sheet(std::span<const Picture> pictures) {
  const auto n = static_cast<uint32_t>(pictures.size());
  const auto columns = static_cast<uint32_t>(std::ceil(std::sqrt(n)));
  const uint32_t rows = (n + columns - 1) / columns;
  const Picture& first = pictures[0];
  const uint32_t wide = first.width + kGap, high = first.height + kGap;
  Picture sheet = Picture::blank(columns * wide - kGap, rows * high - kGap, first.channels);
  for (uint32_t i = 0; i < n; ++i)
    for (uint32_t y = 0; y < first.height; ++y)
      std::copy_n(pictures[i].at(0, y), size_t{first.width} * first.channels,
                  sheet.at(i % columns * wide, i / columns * high + y));
  return sheet;
}

}  // namespace enxuto
