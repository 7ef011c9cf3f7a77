// Texts that users hand in: whole, not empty, and text indeed.
#pragma once

#include <string>
#include <string_view>

#include "base/progress.h"
#include "base/status.h"
#include "models/model.h"

namespace enxuto {

Result<std::string> read_text(const std::string& path);
Result<std::string> read_standard_input();
// The same for a model: of one of a medium, its sequences by name (media/media_text.h).
Result<std::string> read_text_for(const Model& model, const std::string& path,
                                  const Progress& progress);
// To calibrate on; empty: the built-in text. kUsage where a model of a medium is given no files.
Result<std::string> calibration_text_for(const Model& model, const std::string& path,
                                         const Progress& progress);
// What eval reads of it at once, where nothing else is said.
uint32_t chunk_tokens_of(const Model& model);

// kBadInput for an empty text, and for bytes that are no text: zeros, or mostly malformed UTF-8.
// `name` is the text's name in the error.
Status check_text(std::string_view text, const std::string& name);

}  // namespace enxuto
