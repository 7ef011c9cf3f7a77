#include "kernels/codebook_tables.h"

#include "codecs/grids.h"

namespace enxuto {
namespace {

template <class Word, size_t kPoints, size_t kLevels>
constexpr void expand(const uint16_t (&points)[kPoints], const float (&levels)[kLevels], float unit,
                      Word (&table)[kPoints]) {
  constexpr int kWidth = std::countr_zero(kLevels);
  for (size_t p = 0; p < kPoints; ++p) {
    table[p] = 0;
    for (size_t i = 0; i < sizeof(Word); ++i) {
      const float level = unit * levels[points[p] >> kWidth * i & (kLevels - 1)];
      const auto byte = static_cast<uint8_t>(static_cast<int8_t>(level));
      table[p] |= static_cast<Word>(byte) << 8 * i;
    }
  }
}

template <size_t kPoints, size_t kLevels>
constexpr void pack(const uint16_t (&points)[kPoints], const float (&levels)[kLevels],
                    PackedPoints<kPoints>& packed, uint8_t (&bytes)[16]) {
  for (size_t p = 0; p < kPoints; ++p) {
    packed.low[p] = static_cast<uint8_t>(points[p]);
    packed.high[p] = static_cast<uint8_t>(points[p] >> 8);
  }
  for (size_t i = 0; i < kLevels; ++i) bytes[i] = static_cast<uint8_t>(levels[i]);
}

constexpr CodebookTables make_tables() {
  CodebookTables tables = {};
  expand(kGridIq2Xxs, kIq2Levels, 1, tables.iq2_xxs);
  expand(kGridIq2Xs, kIq2Levels, 1, tables.iq2_xs);
  expand(kGridIq2S, kIq2Levels, 1, tables.iq2_s);
  expand(kGridIq1, kIq1Levels, 1 / kIq1Shift, tables.iq1);
  expand(kGridIq3Xxs, kIq3XxsLevels, 1, tables.iq3_xxs);
  expand(kGridIq3S, kIq3SLevels, 1, tables.iq3_s);
  pack(kGridIq2Xxs, kIq2Levels, tables.packed_iq2_xxs, tables.levels_iq2);
  pack(kGridIq2Xs, kIq2Levels, tables.packed_iq2_xs, tables.levels_iq2);
  pack(kGridIq2S, kIq2Levels, tables.packed_iq2_s, tables.levels_iq2);
  pack(kGridIq3Xxs, kIq3XxsLevels, tables.packed_iq3_xxs, tables.levels_iq3_xxs);
  pack(kGridIq3S, kIq3SLevels, tables.packed_iq3_s, tables.levels_iq3_s);
  for (uint32_t bits = 0; bits < 128; ++bits)
    tables.even_signs[bits] = static_cast<uint8_t>(even_signs(bits));
  return tables;
}

}  // namespace

constinit const CodebookTables kCodebookTables = make_tables();

}  // namespace enxuto
