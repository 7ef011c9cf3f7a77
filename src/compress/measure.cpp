#include "compress/measure.h"

#include <algorithm>
#include <map>

namespace enxuto {
void encode_rows(const Codec& codec, const Metric& metric, const float* rows, int64_t n_rows,
                 int64_t columns, int sweeps, uint8_t* blocks, float* scratch) {
  if (metric.covariance && codec.shape) {
    round_rows(codec, *metric.covariance, rows, n_rows, sweeps, blocks, scratch);
    return;
  }
  const uint64_t row_bytes = codec.row_bytes(static_cast<uint64_t>(columns));
  for (int64_t r = 0; r < n_rows; ++r)
    codec.encode(rows + r * columns, metric.importance, blocks + r * row_bytes,
                 static_cast<size_t>(columns));
}

uint64_t sample_floats(const Tensor& tensor) { return sample_rows(tensor) * tensor.columns(); }

uint64_t sample_floats_of_layers(const std::vector<Weight>& weights) {
  std::map<uint32_t, uint64_t> of_layers;
  uint64_t most = 0;
  for (const Weight& weight : weights)
    most = std::max(most, of_layers[weight.layer] += sample_floats(*weight.tensor));
  return most;
}

// The sum of body(rows, n_rows, scratch) of a copy of each piece.
template <class Body>
double RowSample::over_pieces(const Body& body) const {
  const auto most = static_cast<size_t>(std::min(kRowsAtOnce, n_rows_) * columns_);
  std::vector<float> rows(most),
      scratch(static_cast<size_t>(round_scratch(std::min(kRowsAtOnce, n_rows_), columns_)));
  double sum = 0;
  for (int64_t first = 0; first < n_rows_; first += kRowsAtOnce) {
    const int64_t n = std::min(kRowsAtOnce, n_rows_ - first);
    std::copy_n(rows_.begin() + first * columns_, n * columns_, rows.begin());
    sum += body(rows.data(), n, scratch.data());
  }
  return sum;
}

Result<RowSample> RowSample::of(const Workbench& bench, const Tensor& tensor, const Metric& metric,
                                const ColumnScales& scales, std::span<float> memory) {
  const uint64_t n = sample_rows(tensor), columns = tensor.columns();
  for (uint64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const Tensor row, bench.reader.rows(tensor, i * tensor.rows() / n, 1));
    decode_row(row, 0, memory.data() + i * columns);
  }
  return RowSample(tensor, metric, scales, bench.plan.sweeps_to_compare, memory.first(n * columns));
}

RowSample::RowSample(const Tensor& tensor, const Metric& metric, const ColumnScales& scales,
                     int sweeps, std::span<float> rows)
    : tensor_(&tensor),
      metric_(metric),
      scales_(&scales),
      sweeps_(sweeps),
      n_rows_(static_cast<int64_t>(sample_rows(tensor))),
      columns_(static_cast<int64_t>(tensor.columns())),
      rows_(rows) {}

void RowSample::weigh() {
  energy_ = over_pieces([&](float* piece, int64_t n, float* scratch) {
    scale(piece, n);
    return cost_of(piece, n, scratch);
  });
}

double RowSample::relative_error(Type type, bool as_written) const {
  if (type == tensor_->type) return 0;
  const Codec& codec = *find_codec(type);
  const Metric rounding{as_written ? metric_.covariance : nullptr, metric_.importance};
  const double error = over_pieces([&](float* rows, int64_t n, float* scratch) {
    if (as_written) scale(rows, n);
    const int64_t values = n * columns_;
    std::vector<uint8_t> blocks(static_cast<size_t>(n) * codec.row_bytes(tensor_->columns()));
    encode_rows(codec, rounding, rows, n, columns_, sweeps_, blocks.data(), scratch);
    codec.decode(blocks.data(), scratch, static_cast<size_t>(values));
    for (int64_t i = 0; i < values; ++i) scratch[i] = rows[i] - scratch[i];
    if (!as_written) scale(scratch, n);
    return cost_of(scratch, n, scratch + values);
  });
  return energy_ > 0 ? error / energy_ : 0;
}

void RowSample::scale(float* rows, int64_t n_rows) const {
  for (int64_t r = 0; r < n_rows; ++r) scales_->scale_columns(*tensor_, rows + r * columns_);
}

// Of errors (n_rows, columns), as the metric weighs them. scratch: as many floats.
double RowSample::cost_of(const float* errors, int64_t n_rows, float* scratch) const {
  if (metric_.covariance) return loss_of(*metric_.covariance, errors, n_rows, scratch);
  double sum = 0;
  for (int64_t r = 0; r < n_rows; ++r, errors += columns_)
    for (int64_t i = 0; i < columns_; ++i)
      sum += (metric_.importance ? metric_.importance[i] : 1.0) * errors[i] * errors[i];
  return sum;
}

}  // namespace enxuto
