// How -ctk and -ctv name the formats of the KV cache: "q8_0", or "q4_0,0=f16,28-29=q8_0" where some
// layers have another one.
#pragma once

#include <string_view>
#include <vector>

#include "plan/session_layout.h"

namespace enxuto {

// Sets the keys' or the values' part of `formats`, which is as InferenceRequest::kv is.
Status set_cache_types(std::string_view text, Type KvFormat::*part, std::vector<KvFormat>& formats);

}  // namespace enxuto
