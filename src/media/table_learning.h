// What a table is, found in one pass: the kind of each column by all of its rows, and by a sample
// what its outcomes are, how frequent they are, and how columns depend on each other.
#pragma once

#include "media/codec.h"
#include "media/table_schema.h"

namespace enxuto {

struct LearnedTable {
  std::vector<Column> columns;
  std::vector<float> correlation;
  char delimiter = ',';
};

Result<LearnedTable> learn_table(const CodecRequest& request, const Progress& progress);

}  // namespace enxuto
