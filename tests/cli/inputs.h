// What the program is given in tests: a tiny model, and text of the kind that it can read.
#pragma once

#include <string>

namespace enxuto {

void write_tiny_llama(const std::string& path);

// About `bytes` bytes of words.
std::string sample_text(size_t bytes);

}  // namespace enxuto
