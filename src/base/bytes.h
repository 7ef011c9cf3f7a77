// Byte counts as people write and read them: "512MiB", "1.5GB", "700M" (= MiB), "105454400".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace enxuto {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

// K, M, G, T and KiB, MiB, GiB, TiB are powers of 1024; KB, MB, GB, TB powers of 1000; a bare
// number is bytes.
Result<uint64_t> parse_bytes(std::string_view text);

// "98.1 MiB", three to four digits, binary units.
std::string format_bytes(uint64_t bytes);

// Counts as people write them: "5M", "1.5B", "300k" (powers of 1000), or a number.
Result<uint64_t> parse_count(std::string_view text);

// "105,454,400".
std::string format_count(uint64_t count);

}  // namespace enxuto
