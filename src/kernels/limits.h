// What this machine could do at most: beside it a kernel's speed tells how much is left.
#pragma once

#include <cstdint>
#include <span>

#include "platform/threads.h"

namespace enxuto {

// Bytes a second, of memory that is only added up. The best of a few times.
double read_rate(ThreadTeam& team, std::span<const std::span<const uint8_t>> pieces);
// 8-bit multiply-adds a second, of numbers that lie in registers and L1. The best of a few times.
double product_rate(ThreadTeam& team);

}  // namespace enxuto
