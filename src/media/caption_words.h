// Captions as a model is told them: one spelling for all.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace enxuto {

// Lower case (of ASCII), single spaces.
std::string plain_caption(std::string_view caption);
// Its words: letters and digits.
std::vector<std::string> caption_words(std::string_view caption);

}  // namespace enxuto
