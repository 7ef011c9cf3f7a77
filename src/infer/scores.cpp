#include "infer/scores.h"

#include <algorithm>
#include <cmath>

#include "kernels/row_sums.h"

namespace enxuto {
namespace {

// As llama-perplexity does, tokens that the reference holds less probable than e^-16 count nothing.
constexpr float kLeastLogProbability = -16.0f;

struct LogSoftmax {
  size_t top;
  float log_sum;  // log p(i) = logits[i] - log_sum

  explicit LogSoftmax(std::span<const float> logits)
      : top(static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())) {
    const float most = logits[top];
    const double sum =
        sum_of(logits.size(), [&](size_t i) { return exp_below_zero(logits[i] - most); });
    log_sum = most + static_cast<float>(std::log(sum));
  }
};

double percentile(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = place - static_cast<double>(below);
  return (1 - weight) * sorted[below] + weight * sorted[above];
}

struct Mean {
  double value = 0, error = 0;  // one standard error
};

template <class Of>
Mean mean_of(const std::vector<RowScore>& rows, const Of& of) {
  double sum = 0, squares = 0;
  for (const RowScore& row : rows) sum += of(row), squares += of(row) * of(row);
  const auto n = static_cast<double>(rows.size());
  const double mean = sum / n, variance = squares / n - mean * mean;
  return {mean, n > 1 && variance > 0 ? std::sqrt(variance / (n - 1)) : 0};
}

}  // namespace

RowScore score_row(std::span<const float> logits, std::span<const float> reference, Token token) {
  const LogSoftmax own(logits);
  RowScore score;
  score.nll = double{own.log_sum} - logits[token];
  if (reference.empty()) return score;
  const LogSoftmax other(reference);
  score.reference_nll = double{other.log_sum} - reference[token];
  score.same_top = own.top == other.top;
  score.kld = sum_of(logits.size(), [&](size_t i) {
    const float log_p = std::min(reference[i] - other.log_sum, 0.0f);
    const float term = exp_below_zero(log_p) * (log_p - (logits[i] - own.log_sum));
    return log_p > kLeastLogProbability ? term : 0.0f;
  });
  return score;
}

Evaluation summarize(const std::vector<RowScore>& rows, bool compared) {
  Evaluation e;
  e.scored_tokens = rows.size();
  e.compared = compared;
  const Mean nll = mean_of(rows, [](const RowScore& row) { return row.nll; });
  e.perplexity = std::exp(nll.value);
  e.perplexity_error = e.perplexity * nll.error;
  if (!compared) return e;
  e.reference_perplexity =
      std::exp(mean_of(rows, [](const RowScore& row) { return row.reference_nll; }).value);
  const Mean kld = mean_of(rows, [](const RowScore& row) { return row.kld; });
  e.kld_mean = kld.value, e.kld_mean_error = kld.error;
  e.same_top = mean_of(rows, [](const RowScore& row) { return row.same_top ? 1.0 : 0.0; }).value;
  std::vector<double> klds;
  for (const RowScore& row : rows) klds.push_back(row.kld);
  std::sort(klds.begin(), klds.end());
  e.kld_median = percentile(klds, 0.5);
  e.kld_p99 = percentile(klds, 0.99);
  e.kld_max = klds.back();
  return e;
}

}  // namespace enxuto
