// A simulated table beside the real one: as a page, as JSON, on the terminal.
#pragma once

#include "cli/json_output.h"
#include "cli/terminal_text.h"
#include "media/table_comparison.h"

namespace enxuto {

Json comparison_json(const TableComparison& comparison);
void print_comparison(const TableComparison& comparison, const Paint& paint);
Status write_table_page(const TableComparison& comparison, const std::string& path, bool replace);

}  // namespace enxuto
