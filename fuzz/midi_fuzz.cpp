// MIDI files of any bytes: an error that names the byte, or a song which, once it is on the grid,
// its own events and its own file say again.
#include <string>

#include "fuzz.h"
#include "media/midi_file.h"
#include "media/music_events.h"

namespace enxuto {
namespace {

using fuzz::require;

void check(const Song& song) {
  const auto grid = on_grid(song);
  if (!grid.ok()) return require(grid.status().code() == Code::kBadInput, "too long: kBadInput");
  if (grid->notes.empty()) return;
  const MusicTokens tokens(0);
  const auto again = decode_music(tokens, encode_music(tokens, *grid, Key{}, true), 0);
  require(again.ok() && *again == *grid, "events say the same song");
  const std::string file = midi_bytes(in_fine_ticks(*grid));
  const auto read = parse_midi({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
  require(read.ok(), "its own file is sound");
  require(*on_grid(*read) == *grid, "its file says the same song");
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const auto song = parse_midi({data, size});
  if (song.ok())
    check(*song);
  else
    require(song.status().what().find("byte ") != std::string::npos, "the error names the byte");
  return 0;
}
