#include "kernels/shared_product.h"

#include <algorithm>

namespace enxuto {
namespace {

// Rows that go past a tile of b while it is in the cache; columns that are worth a thread.
constexpr int64_t kRows = 64, kColumns = 512;

}  // namespace

void add_product(const KernelTable& k, ThreadTeam& team, const FewRowsProduct& p) {
  const int64_t across = (p.n + kColumns - 1) / kColumns;
  const int64_t tasks = (p.m + kRows - 1) / kRows * across;
  team.parallel_for(tasks, 1, [&](int64_t task, int64_t, int) {
    const int64_t row = task / across * kRows, column = task % across * kColumns;
    FewRowsProduct part = p;
    part.m = std::min(kRows, p.m - row), part.n = std::min(kColumns, p.n - column);
    part.a += row * p.a_stride;
    part.b += p.b_transposed ? column * p.b_stride : column;
    part.c += row * p.c_stride + column;
    k.add_product(part);
  });
}

}  // namespace enxuto
