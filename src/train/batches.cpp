#include "train/batches.h"

#include <algorithm>

namespace enxuto {

Batches::Batches(Trainer& trainer, const Sequences& data, const Teacher* teacher)
    : trainer_(trainer),
      data_(data),
      teacher_(teacher),
      tokens_(trainer.layout().n_tokens / trainer.layout().context *
              (trainer.layout().context + 1)),
      counts_(trainer.layout().n_tokens) {}

// Of n sequences from the first on, those of this rank.
Batch Batches::own_share(bool validates, uint64_t first, uint64_t n) {
  const size_t context = data_.context(), window = context + 1;
  const Share own = trainer_.ranks().share(n);
  for (size_t text = 0; text < own.size(); ++text) {
    const uint64_t i = first + own.begin + text;
    const auto tokens = std::span(tokens_).subspan(text * window, window);
    const auto counts = std::span(counts_).subspan(text * context, context);
    validates ? data_.validation(i, tokens, counts) : data_.training(i, tokens, counts);
    if (!teacher_) continue;
    const TaughtRows rows = trainer_.taught(text);
    validates ? teacher_->validation(i, rows) : teacher_->training(data_, i, rows);
  }
  return {std::span(tokens_).first(own.size() * window),
          std::span(counts_).first(own.size() * context)};
}

Result<StepResult> Batches::validate() {
  const uint64_t most = trainer_.layout().sequences;
  const uint64_t n = std::min(data_.n_validation(), kMostValidationSequences);
  StepResult mean;
  double loss = 0, kld = 0;
  for (uint64_t begin = 0; begin < n; begin += most) {
    const auto batch = trainer_.loss(own_share(true, begin, std::min(most, n - begin)));
    TRY(batch.status());
    loss += batch->loss * static_cast<double>(batch->tokens);
    kld += batch->kld.value_or(0) * static_cast<double>(batch->tokens);
    mean.tokens += batch->tokens;
  }
  if (mean.tokens == 0) return mean;
  mean.loss = loss / static_cast<double>(mean.tokens);
  if (teacher_) mean.kld = kld / static_cast<double>(mean.tokens);
  return mean;
}

}  // namespace enxuto
