// Rounding with error feedback inside a number format: the error of each column is handed to the
// columns that come after it, by what their inputs have in common (covariance.h); then codes are
// moved one at a time while that lowers the loss.
#pragma once

#include <span>

#include "codecs/codec.h"
#include "compress/covariance.h"

namespace enxuto {

// Rows that are worth doing together: enough for the products, few enough for the caches.
inline constexpr int64_t kRowsAtOnce = 64;

// Floats of scratch that round_rows needs for so many rows.
int64_t round_scratch(int64_t n_rows, int64_t columns);

// Encodes rows (n_rows, columns) of floats, kRowsAtOnce at most, into blocks
// codec.row_bytes(columns) apart.
void round_rows(const Codec& codec, const Covariance& covariance, const float* rows, int64_t n_rows,
                int sweeps, uint8_t* blocks, float* scratch);

// The loss of errors (n_rows, columns): the sum over rows of e' H e, block by block of the
// covariance. scratch: as many floats.
double loss_of(const Covariance& covariance, const float* errors, int64_t n_rows, float* scratch);

}  // namespace enxuto
