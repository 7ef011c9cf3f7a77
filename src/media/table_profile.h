// What kind a column is of, by all of its texts: numbers and dates are what 99 of 100 texts are.
#pragma once

#include <string_view>
#include <vector>

#include "media/table_column.h"

namespace enxuto {

class ColumnProfile {
 public:
  void add(std::string_view text);
  // kind, format and step of a column.
  void describe(ColumnModel& model) const;
  // Of its numbers or dates.
  double least() const { return range().least; }
  double most() const { return range().most; }

 private:
  struct Range {
    uint64_t n = 0;
    double least = 0, most = 0;
    void add(double value);
  };
  // The greatest common divisor of what values are apart, in units of the last decimal.
  struct Steps {
    int decimals = 0;
    int64_t first = 0, divisor = 0;
    bool any = false, lost = false;
    void add(double value, int value_decimals);
    double step() const;
  };
  struct Values {
    Range range;
    Steps steps;
  };
  bool are_most(const Range& range) const { return range.n > 0 && range.n * 100 >= n_texts_ * 99; }
  bool is_number() const { return are_most(numbers_.range); }
  size_t pattern() const;  // that most dates are of
  const Range& range() const { return is_number() ? numbers_.range : dates_[pattern()].range; }

  uint64_t n_texts_ = 0;  // that are no missing values
  Values numbers_;
  std::vector<Values> dates_ = std::vector<Values>(date_patterns().size());  // by each pattern
  int least_decimals_ = 1 << 20, most_decimals_ = 0;
  bool ends_in_zero_ = false, has_exponent_ = false;
};

// "", "NA", "null" …
bool is_missing(std::string_view text);

}  // namespace enxuto
