#include "prune/matrix_values.h"

#include "compress/weights.h"
#include "models/finite.h"

namespace enxuto {

Status read_values(const Workbench& bench, const Tensor& matrix, std::span<float> values) {
  TRY(bench.reader.for_pieces(matrix, [&](uint64_t first, const Tensor& rows) -> Status {
    bench.session.team().parallel_for(
        static_cast<int64_t>(rows.rows()), 1, [&](int64_t begin, int64_t end, int) {
          for (auto r = static_cast<uint64_t>(begin); r < static_cast<uint64_t>(end); ++r)
            decode_row(rows, r, values.data() + (first + r) * matrix.columns());
        });
    return {};
  }));
  if (all_finite(values)) return {};
  return Status::bad_input(matrix.name + " holds numbers that are none (NaN or infinity)",
                           "its weights are damaged: try another file");
}

}  // namespace enxuto
