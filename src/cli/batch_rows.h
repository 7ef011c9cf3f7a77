// Prompts out of a file, row by row: JSON lines or, by the name's end, CSV with a header.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cli/json_output.h"

namespace enxuto {

struct BatchRow {
  uint64_t number = 0;           // its line; of CSV its row, the header being the first
  Json fields = Json::object();  // all that it says
  std::string prompt;
  std::string bad;  // why there is no prompt; empty: there is one
};

class BatchRows {
 public:
  // `field`: which one is the prompt. kUsage where a CSV has no such column.
  static Result<std::unique_ptr<BatchRows>> open(const std::string& path, const std::string& field);
  virtual ~BatchRows() = default;
  virtual Result<bool> next(BatchRow& row) = 0;  // false: there is none
  virtual double done() const = 0;               // share of the file that was read
};

}  // namespace enxuto
