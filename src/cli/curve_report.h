// compress --curve: quality against bytes, for people and as JSON.
#pragma once

#include "cli/json_output.h"
#include "cli/terminal_text.h"
#include "compress/curve.h"

namespace enxuto {

// written_bytes: of the file that was written, which is marked; 0: none.

// The keys `curve` and `mixes`.
Json curve_json(const Curve& curve, const Model& model, uint64_t written_bytes);

void print_curve(const Curve& curve, const Model& model, uint64_t written_bytes,
                 const Paint& paint);

}  // namespace enxuto
