// What compress did, for people and as JSON (docs/json.md).
#pragma once

#include <string_view>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "compress/compress.h"
#include "prune/prune_and_compress.h"

namespace enxuto {

// "attn_q" of "blk.3.attn_q.weight": what tensors of all layers have in common.
std::string_view tensor_kind(std::string_view name);

// The file's weights are those of `model`: the source, or what pruning left of it. choice: null
// where pruning was not asked for or cannot be weighed.
struct CompressOutcome {
  const CompressReport& report;
  const Model& source;
  const Model& model;
  const PruningChoice* choice;
};

// As `--json` prints it.
Json compress_json(const CompressOutcome& outcome, const CompressOptions& options,
                   double predicted_seconds);

// As `--report` keeps it: each tensor, and the model before and after, which is read for it.
Result<Json> compress_report_json(const CompressOutcome& outcome, const CompressOptions& options,
                                  double predicted_seconds);

void print_compress(const CompressOutcome& outcome, const CompressOptions& options);

}  // namespace enxuto
