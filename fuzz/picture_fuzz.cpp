// Bytes as a picture: refused, or a picture of the size that it says, whatever they are.
#include "fuzz.h"
#include "media/picture.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const auto picture = parse_png({data, size});
  if (!picture.ok()) {
    fuzz::require(picture.status().code() == Code::kBadInput, "an error of the input");
    return 0;
  }
  fuzz::require(picture->pixels.size() == size_t{3} * picture->width * picture->height,
                "all of its pixels");
  if (picture->width > 256 || picture->height > 256) return 0;
  fuzz::require(squared(*picture, 8, 1).pixels.size() == 64, "another size");
  return 0;
}
