#include "kernels/matmul.h"

#include <algorithm>

#include "base/checked.h"

namespace enxuto {
namespace {

constexpr uint64_t kAlign = 64;
// Rows are handed out in units of this many, the height of a kernel's tile.
constexpr int64_t kUnitRows = 32;
// A chunk is long enough to hide its hand-out, short enough that threads finish together.
constexpr uint64_t kChunkBytes = 128 * 1024;

int64_t units_of(const MatmulJob& job) { return (job.w.rows + kUnitRows - 1) / kUnitRows; }

// Rows [begin, end) of one job, for all tokens.
void run_rows(const KernelTable& k, const MatmulBuffers& buffers, const MatmulJob& job,
              int64_t begin, int64_t end, int64_t n_tokens, Rounding rounding, float* scratch) {
  const auto weights =
      rounding == Rounding::kFastest ? TileWeights::kRescaled : TileWeights::kExact;
  if (buffers.in_bf16 && k.multiplies_bf16(job.w.type, job.w.columns, n_tokens)) {
    k.matmul_rows_bf16(job.w, begin, end, buffers.rounded, job.w.columns, n_tokens, job.y + begin,
                       job.y_stride, scratch);
  } else if (rounding != Rounding::kOfOneToken || n_tokens == 1) {
    k.matmul_rows(job.w, begin, end, buffers.rows, n_tokens, weights, job.y + begin, job.y_stride,
                  scratch);
  } else {  // a unit of rows stays in cache while the tokens pass
    for (int64_t r = begin; r < end; r += kUnitRows)
      for (int64_t t = 0; t < n_tokens; ++t)
        k.matmul_rows(job.w, r, std::min(end, r + kUnitRows), buffers.rows + t, 1, weights,
                      job.y + t * job.y_stride + r, job.y_stride, scratch);
  }
  if (!job.bias) return;
  for (int64_t t = 0; t < n_tokens; ++t)
    k.add(job.bias + begin, end - begin, job.y + t * job.y_stride + begin);
}

// Codes, scales, sums and shifts, or, where that is more and may be wanted, numbers in bf16.
uint64_t input_bytes(uint64_t tokens, uint64_t columns) {
  const uint64_t codes = align_up(tokens * columns, kAlign) +
                         align_up(tokens * (columns / 32) * sizeof(float), kAlign) +
                         align_up(tokens * (columns / 16) * sizeof(float), kAlign) +
                         align_up(tokens * (columns / 32) * sizeof(int32_t), kAlign);
  if (!kernels().matmul_rows_bf16) return codes;
  return std::max(codes, align_up(tokens * columns * sizeof(uint16_t), kAlign));
}

}  // namespace

uint64_t MatmulBuffers::bytes(int64_t max_tokens, int64_t max_columns, int n_threads) {
  const auto tokens = static_cast<uint64_t>(max_tokens);
  const auto columns = static_cast<uint64_t>(max_columns);
  return align_up(tokens * sizeof(PreparedRow), kAlign) + input_bytes(tokens, columns) +
         static_cast<uint64_t>(n_threads) * kKernelScratchFloats * sizeof(float);
}

MatmulBuffers::MatmulBuffers(uint8_t* memory, int64_t max_tokens_, int64_t max_columns_,
                             int n_threads)
    : max_tokens(max_tokens_), max_columns(max_columns_) {
  const auto tokens = static_cast<uint64_t>(max_tokens);
  const auto columns = static_cast<uint64_t>(max_columns);
  const auto take = [&memory](uint64_t bytes) {
    uint8_t* part = memory;
    memory += align_up(bytes, kAlign);
    return part;
  };
  rows = reinterpret_cast<PreparedRow*>(take(tokens * sizeof(PreparedRow)));
  rounded = reinterpret_cast<uint16_t*>(memory);
  uint8_t* const after_input = memory + input_bytes(tokens, columns);
  codes = reinterpret_cast<int8_t*>(take(tokens * columns));
  scales = reinterpret_cast<float*>(take(tokens * (columns / 32) * sizeof(float)));
  sums = reinterpret_cast<float*>(take(tokens * (columns / 16) * sizeof(float)));
  shifts = reinterpret_cast<int32_t*>(take(tokens * (columns / 32) * sizeof(int32_t)));
  memory = after_input;
  scratch = reinterpret_cast<float*>(
      take(static_cast<uint64_t>(n_threads) * kKernelScratchFloats * sizeof(float)));
}

void prepare_input(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, const float* x,
                   int64_t x_stride, int64_t columns, int64_t n_tokens, int64_t sharing) {
  for (int64_t t = 0; t < n_tokens; ++t)
    buffers.rows[t] = {x + t * x_stride, buffers.codes + t * columns,
                       buffers.scales + t * (columns / 32), buffers.sums + t * (columns / 16),
                       buffers.shifts + t * (columns / 32)};
  buffers.in_bf16 = sharing == kInBf16;
  if (sharing == 0) return;
  team.parallel_for(n_tokens, std::max<int64_t>(1, 8192 / columns),
                    [&](int64_t begin, int64_t end, int) {
                      for (int64_t t = begin; t < end; ++t)
                        if (sharing == kInBf16)
                          k.round_to_bf16(x + t * x_stride, columns, buffers.rounded + t * columns);
                        else
                          k.prepare(columns, sharing, buffers.rows[t]);
                    });
}

void multiply(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, int64_t n_tokens,
              std::span<const MatmulJob> jobs, Rounding rounding) {
  int64_t n_units = 0;
  uint64_t unit_bytes = 1;
  for (const MatmulJob& job : jobs) {
    n_units += units_of(job);
    unit_bytes = std::max(unit_bytes, job.w.row_bytes * kUnitRows);
  }
  const int64_t fair = n_units / (4 * team.size());
  const int64_t cheap = n_tokens > 4 ? 1 : static_cast<int64_t>(kChunkBytes / unit_bytes);
  const int64_t grain = std::max<int64_t>(1, std::min(fair, cheap));
  team.parallel_for(n_units, grain, [&](int64_t begin, int64_t end, int thread) {
    for (const MatmulJob& job : jobs) {
      const int64_t n = units_of(job);
      if (begin < n && end > 0)
        run_rows(k, buffers, job, std::max<int64_t>(0, begin) * kUnitRows,
                 std::min(job.w.rows, end * kUnitRows), n_tokens, rounding,
                 buffers.thread_scratch(thread));
      begin -= n, end -= n;
    }
  });
}

void matmul(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, const float* x,
            int64_t x_stride, int64_t n_tokens, std::span<const MatmulJob> jobs,
            Rounding rounding) {
  if (jobs.empty() || n_tokens <= 0) return;
  bool codes = false, bf16 = false;
  for (const MatmulJob& job : jobs)
    if (rounding == Rounding::kFastest && k.multiplies_bf16(job.w.type, job.w.columns, n_tokens))
      bf16 = true;
    else
      codes |= k.reads_codes(job.w.type);
  prepare_input(k, team, buffers, x, x_stride, jobs[0].w.columns, n_tokens,
                codes  ? kFineScale
                : bf16 ? kInBf16
                       : 0);
  multiply(k, team, buffers, n_tokens, jobs, rounding);
}

}  // namespace enxuto
