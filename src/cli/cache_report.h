// What `plan` has to say of the KV cache: its formats to choose from, and what was measured of
// them.
#pragma once

#include "cli/json_output.h"
#include "cli/measured_cache.h"
#include "cli/terminal_text.h"
#include "plan/choices.h"

namespace enxuto {

Json caches_json(const ChoiceTable& table);
void print_caches(const ChoiceTable& table, const Paint& paint);

Json measured_cache_json(const MeasuredCache& measured);
void print_measured_cache(const MeasuredCache& measured, const Paint& paint);

}  // namespace enxuto
