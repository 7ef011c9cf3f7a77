// Gradients of weights that move together are whole: they are clipped, each rank moves its rows,
// and tells them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/trainer.h"

namespace enxuto {
namespace {

double squares_of(ThreadTeam& team, const float* values, uint64_t n) {
  constexpr uint64_t kPiece = 1 << 16;
  std::vector<double> sums((n + kPiece - 1) / kPiece);
  team.parallel_for(static_cast<int64_t>(sums.size()), 1, [&](int64_t piece, int64_t, int) {
    const uint64_t begin = static_cast<uint64_t>(piece) * kPiece;
    const auto count = static_cast<int64_t>(std::min(kPiece, n - begin));
    sums[static_cast<size_t>(piece)] = kernels().dot(values + begin, values + begin, count);
  });
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

bool Trainer::moves_in_parts(const Tensor& tensor) const {
  return &tensor == model()->output || &tensor == model()->token_embedding;
}

// Pieces of the same tensor, which are neighbours.
template <class Body>
Status Trainer::for_tensors(std::span<const Piece> group, const Body& body) {
  while (!group.empty()) {
    const Tensor* tensor = group[0].tensor;
    const auto end =
        std::ranges::find_if(group, [&](const Piece& p) { return p.tensor != tensor; });
    const auto n = static_cast<size_t>(end - group.begin());
    TRY(body(group.first(n)));
    group = group.subspan(n);
  }
  return {};
}

Status Trainer::move(std::span<const Piece> group, uint64_t part) {
  double squares = 0, count = 0;
  std::vector<Gathered> tensors;
  TRY(for_tensors(group, [&](std::span<const Piece> rows) -> Status {
    tensors.push_back({rows, 0, part});
    for (const Piece& piece : rows) {
      const uint64_t n = piece.n_rows * piece.tensor->columns();
      tensors.back().squares += squares_of(session_->team(), piece.gradient, n);
      count += static_cast<double>(n);
    }
    squares += tensors.back().squares;
    return {};
  }));
  if (!std::isfinite(squares))
    return Status::failed(fmt::format("the gradient of step {} is no number", steps_ + 1),
                          "go on from the last checkpoint with a smaller --lr");
  squares_ += squares;
  const double most = settings_.clip * std::sqrt(count / static_cast<double>(layout_.n_parameters));
  const double norm = std::sqrt(squares);
  const auto scale = static_cast<float>(settings_.clip > 0 && norm > most ? most / norm : 1.0);
  for (const Gathered& rows : tensors) move_rows(rows, scale);
  return tell_rows(group);
}

void Trainer::move_rows(const Gathered& rows, float scale) {
  const Tensor& tensor = *rows.rows[0].tensor;
  const OptimizerState& moments = moments_[static_cast<size_t>(&tensor - learned_.data())];
  const float its = moments.scale(session_->team(), rates_, scale, rows, moves_in_parts(tensor));
  for (const Piece& piece : rows.rows) move_own_rows(piece, its);
}

void Trainer::move_own_rows(const Piece& piece, float scale) {
  const Tensor& tensor = *piece.tensor;
  const Share own = ranks().share(tensor.rows()).within({piece.first, piece.first + piece.n_rows});
  if (own.size() == 0) return;
  const auto place = static_cast<size_t>(piece.tensor - learned_.data());
  moments_[place].step(session_->team(), rates_, scale, own.begin, own.size(),
                       piece.gradient + (own.begin - piece.first) * tensor.columns(),
                       own_row(tensor, own.begin));
}

// Rows between pieces of a tensor are told along: they are the same everywhere, and so messages are
// few.
Status Trainer::tell_rows(std::span<const Piece> group) {
  return for_tensors(group, [&](std::span<const Piece> rows) {
    return tell_rows(*rows[0].tensor, {rows[0].first, rows.back().first + rows.back().n_rows});
  });
}

Status Trainer::tell_rows(const Tensor& tensor, const Share& rows) {
  if (is_shared(tensor)) return {};
  for (uint32_t rank = 0; rank < ranks().size(); ++rank) {
    const Share its = share_of(tensor.rows(), rank, ranks().size()).within(rows);
    const uint64_t row_bytes = tensor.row_bytes();
    TRY(ranks().tell(rank, {own_row(tensor, its.begin), its.size() * row_bytes}));
  }
  return {};
}

}  // namespace enxuto
