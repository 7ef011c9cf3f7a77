#include "data/sequences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "data/shuffled_order.h"

namespace enxuto {
namespace {

constexpr uint64_t kMostContext = uint64_t{1} << 32;

// Of n > 0 windows; one is left for training.
uint64_t validation_windows(uint64_t n, double share) {
  if (share == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::llround(share * static_cast<double>(n)));
  return std::min(std::max<uint64_t>(wanted, 1), n - 1);
}

}  // namespace

Result<Sequences> Sequences::create(TokenFile tokens, uint64_t context, double validation_share,
                                    uint64_t seed, bool shuffle) {
  if (context == 0 || context > kMostContext)
    return Status::usage(fmt::format("a context of {} tokens", context), "ask for at least 1");
  if (!(validation_share >= 0 && validation_share < 1))
    return Status::usage(fmt::format("a validation share of {}", validation_share),
                         "give a share from 0 to less than 1, as 0.05");
  const uint64_t n_tokens = tokens.n_tokens();
  if (n_tokens <= context)
    return Status::bad_input(
        fmt::format("the data has {} tokens; one sequence takes {}", format_count(n_tokens),
                    format_count(context + 1)),
        n_tokens < 2 ? "give more text"
                     : fmt::format("give more text, or a context of at most {}", n_tokens - 1));
  Sequences sequences(std::move(tokens), context, seed, shuffle);
  const uint64_t n = (n_tokens - 1) / context;
  sequences.n_validation_ = validation_windows(n, validation_share);
  sequences.n_training_ = n - sequences.n_validation_;
  return sequences;
}

uint64_t Sequences::training_window(uint64_t i) const {
  const uint64_t epoch = i / n_training_, place = i % n_training_;
  if (!shuffle_) return place;
  // An odd factor: epochs of one run have seeds of their own, far from those of the next seed's
  // run.
  const uint64_t epoch_seed = seed_ ^ (epoch + 1) * 0xD1342543DE82EF95;
  return ShuffledOrder(n_training_, epoch_seed)[place];
}

void Sequences::training(uint64_t i, std::span<Token> tokens, std::span<uint8_t> learned) const {
  window(training_window(i), tokens, learned);
}

void Sequences::validation(uint64_t i, std::span<Token> tokens, std::span<uint8_t> learned) const {
  assert(i < n_validation_);
  window(n_training_ + i, tokens, learned);
}

void Sequences::window(uint64_t i, std::span<Token> tokens, std::span<uint8_t> learned) const {
  assert(tokens.size() == context_ + 1 && learned.size() >= context_);
  tokens_.read(i * context_, tokens);
  tokens_.read_learned(i * context_ + 1, learned.first(context_));
}

}  // namespace enxuto
