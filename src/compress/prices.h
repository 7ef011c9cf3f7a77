// What each format of each weight costs. Of a weight that was surveyed by its own figures, of
// another by those of the surveyed weights of its kind before and after it (plan/survey.h), in
// logarithms between them:
//   error(format) = theirs(format) * its own error of the reference / theirs of the reference
//   nats of a relative error = theirs
#pragma once

#include <map>
#include <vector>

#include "compress/measured_errors.h"

namespace enxuto {

class Prices {
 public:
  // All of it outlives this.
  Prices(const MeasuringTask& task, const MeasuredErrors& errors, const Survey& survey);

  // Of weight i as it would be written, in a format of its menu.
  double relative_error(size_t i, Type type) const;
  // What a relative error of 1 would cost, were KL divergence linear as far as that.
  double nats(size_t i) const;

 private:
  struct Place {
    size_t before, after;
    double way;
  };
  Place place(size_t i) const;
  double measured(const Place& place, Type type) const;
  double probe_error(size_t i) const;
  double probed_nats(size_t i) const;

  const MeasuringTask& task_;
  const MeasuredErrors& errors_;
  const Survey& survey_;
  std::map<const Tensor*, size_t> places_;  // in the list of weights
};

}  // namespace enxuto
