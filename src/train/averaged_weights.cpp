#include "train/averaged_weights.h"

#include <algorithm>

#include "kernels/plain_steps.h"

namespace enxuto {
namespace {

constexpr uint64_t kPiece = 1 << 14;  // numbers

// body(numbers begin to end of rows)
template <class Body>
void for_pieces(ThreadTeam& team, const AveragedWeights::Rows& rows, const Body& body) {
  const auto pieces = static_cast<int64_t>((rows.count() + kPiece - 1) / kPiece);
  team.parallel_for(pieces, 1, [&](int64_t begin, int64_t end, int) {
    body(static_cast<uint64_t>(begin) * kPiece,
         std::min(static_cast<uint64_t>(end) * kPiece, rows.count()));
  });
}

bool is_f32(const AveragedWeights::Rows& rows) { return rows.tensor->type == Type::F32; }
float* as_f32(const AveragedWeights::Rows& rows) { return reinterpret_cast<float*>(rows.weights); }
uint16_t* as_bf16(const AveragedWeights::Rows& rows) {
  return reinterpret_cast<uint16_t*>(rows.weights);
}

}  // namespace

void AveragedWeights::update(ThreadTeam& team, uint64_t step) const {
  const float share = step == 1 ? 1 : 1 - decay_;
  for (const Rows& rows : all_)
    for_pieces(team, rows, [&](uint64_t begin, uint64_t end) {
      const auto n = static_cast<int64_t>(end - begin);
      if (is_f32(rows))
        average_step(share, as_f32(rows) + begin, n, rows.average + begin);
      else
        average_step(share, as_bf16(rows) + begin, n, rows.average + begin);
    });
}

void AveragedWeights::exchange(ThreadTeam& team) {
  for (const Rows& rows : all_)
    for_pieces(team, rows, [&](uint64_t begin, uint64_t end) {
      const auto n = static_cast<int64_t>(end - begin);
      if (is_f32(rows))
        std::swap_ranges(as_f32(rows) + begin, as_f32(rows) + end, rows.average + begin);
      else if (exchanged_)
        take_back_halves(n, as_bf16(rows) + begin, rows.average + begin);
      else
        exchange_halves(n, as_bf16(rows) + begin, rows.average + begin);
    });
  exchanged_ = !exchanged_;
}

}  // namespace enxuto
