#include "compress/prices.h"

#include <algorithm>
#include <cmath>

namespace enxuto {
namespace {

// In logarithms. A 0 tells nothing: then it is the other.
double between(double before, double after, double way) {
  if (before <= 0 || after <= 0) return std::max(before, after);
  return std::pow(before, 1 - way) * std::pow(after, way);
}

double bits(Type type, const Tensor& tensor) {
  return 8.0 * static_cast<double>(find_codec(type)->row_bytes(tensor.columns())) /
         static_cast<double>(tensor.columns());
}

}  // namespace

Prices::Prices(const MeasuringTask& task, const MeasuredErrors& errors, const Survey& survey)
    : task_(task), errors_(errors), survey_(survey) {
  for (size_t i = 0; i < task.weights.size(); ++i) places_[task.weights[i].tensor] = i;
}

Prices::Place Prices::place(size_t i) const {
  const Survey::Place& place = survey_.place(*task_.weights[i].tensor);
  return {places_.at(place.before), places_.at(place.after), place.way};
}

double Prices::measured(const Place& place, Type type) const {
  return between(errors_.at({place.before, type, true}), errors_.at({place.after, type, true}),
                 place.way);
}

double Prices::relative_error(size_t i, Type type) const {
  const Tensor& tensor = *task_.weights[i].tensor;
  const Place around = place(i);
  const double error = measured(around, type);
  if (survey_.has(tensor) || type == tensor.type) return error;
  const Type reference = probe_codec(tensor)->type;
  const double own = errors_.at({i, reference, true}), theirs = measured(around, reference);
  // Zeros before and after tell nothing: then each bit halves the error's root.
  if (theirs <= 0) return own * std::exp2(2 * (bits(reference, tensor) - bits(type, tensor)));
  return own > 0 ? error * own / theirs : error;
}

double Prices::nats(size_t i) const {
  const Place around = place(i);
  const auto known = [&](size_t j) { return probe_error(j) > 0 ? probed_nats(j) : 0; };
  const double nats = between(known(around.before), known(around.after), around.way);
  return nats > 0 ? nats : probed_nats(around.before);
}

double Prices::probe_error(size_t i) const {
  const Codec* probe = task_.sensitivities[i].probe;
  return probe ? errors_.at({i, probe->type, false}) : 0;
}

double Prices::probed_nats(size_t i) const {
  const Sensitivity& sensitivity = task_.sensitivities[i];
  return sensitivity.probe ? sensitivity.kld / std::max(probe_error(i), 1e-12) : 1;
}

}  // namespace enxuto
