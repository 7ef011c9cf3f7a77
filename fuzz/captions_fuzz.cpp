// Bytes as a list of captions, JSON lines and CSV: each entry can be used, or is refused with its
// place.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "fuzz.h"
#include "media/caption_list.h"

namespace {

void read_as(const std::string& extension, const uint8_t* data, size_t size) {
  using namespace enxuto;
  const std::string path =
      "/dev/shm/enxuto-captions-fuzz-" + std::to_string(::getpid()) + extension;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const auto list = CaptionList::open({path});
  for (size_t i = 0; list.ok() && i < list->size(); ++i) {
    const auto caption = list->at(i);
    fuzz::require(
        caption.ok() ? !caption->file.empty() : caption.status().what().find(path + ":") == 0,
        "a file, or the place of what is wrong");
  }
  std::remove(path.c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read_as(".jsonl", data, size);
  read_as(".csv", data, size);
  return 0;
}
