// Bounds of the C heap, which lives outside the arena: what is planned as the process's own must
// not grow with threads, or stay taken once it is freed.
#pragma once

namespace enxuto {

// At a program's start: one heap for all threads, large pieces straight from the machine and given
// back at once.
void bound_heap();

// After work whose many small pieces are freed: their pages go back wherever they lie.
void give_back_heap();

}  // namespace enxuto
