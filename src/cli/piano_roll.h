// A song as a picture: time to the right, pitch upwards, a colour for each instrument; drums below.
#pragma once

#include <string>

#include "media/song.h"

namespace enxuto {

// An SVG that needs nothing else. Empty where there are no notes.
std::string piano_roll(const Song& song);

}  // namespace enxuto
