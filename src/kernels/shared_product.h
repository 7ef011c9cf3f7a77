// The table's add_product for any number of rows, shared among threads: products with the thin
// matrices of a low-rank adapter.
#pragma once

#include "kernels/kernels.h"
#include "platform/threads.h"

namespace enxuto {

// A value depends neither on the number of threads nor on the number of rows.
void add_product(const KernelTable& k, ThreadTeam& team, const FewRowsProduct& product);

}  // namespace enxuto
