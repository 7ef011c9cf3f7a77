// Texts that users hand in: whole, not empty, and text indeed.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace enxuto {

Result<std::string> read_text(const std::string& path);
Result<std::string> read_standard_input();

// kBadInput for an empty text, and for bytes that are no text: zeros, or mostly malformed UTF-8.
// `name` is the text's name in the error.
Status check_text(std::string_view text, const std::string& name);

}  // namespace enxuto
