#include "infer/cache_meter.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/bytes.h"
#include "infer/scores.h"
#include "models/finite.h"
#include "plan/goal.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr KvFormat kF16{Type::F16, Type::F16}, kQ4{Type::Q4_0, Type::Q4_0};
// The enlarged error, as a share of the hidden state: far above the noise, still a small change.
// One that is larger than that by itself is left as it is.
constexpr double kEnlargedTo = 0.1;

CacheScore summary(const std::vector<RowScore>& rows) {
  const Evaluation e = summarize(rows, /*compared=*/true);
  return {e.scored_tokens, e.kld_mean, e.kld_mean_error, e.same_top};
}

double square(const float* x, uint32_t n) {
  double sum = 0;
  for (uint32_t i = 0; i < n; ++i) sum += double{x[i]} * x[i];
  return sum;
}

}  // namespace

Result<std::unique_ptr<CacheMeter>> CacheMeter::open(std::shared_ptr<const Model> model,
                                                     int n_threads, uint64_t memory_bytes) {
  const uint64_t width = model->hyper.width;
  ASSIGN_OR_RETURN(const CacheMeasurement plan,
                   plan_cache_measurement(*model, n_threads, memory_bytes));
  if (memory_bytes && !fits(*model, plan.inference, plan.inference.memory_bytes))
    return Status::does_not_fit(fmt::format("measuring the KV cache takes more than the {} allowed",
                                            format_bytes(memory_bytes)),
                                "name its formats, as -ctk q8_0 -ctv q8_0, or allow more memory");
  ASSIGN_OR_RETURN(auto session, Session::open(std::move(model), plan.inference));
  ASSIGN_OR_RETURN(auto arena, Arena::open({{plan.measuring}}));
  std::unique_ptr<CacheMeter> meter(new CacheMeter(std::move(session), std::move(arena)));
  const auto take = [&](uint64_t rows) {
    return meter->arena_->take<float>(owner::kMeasuring, rows * width);
  };
  ASSIGN_OR_RETURN(meter->reference_, take(kCacheChunkTokens / 2));
  ASSIGN_OR_RETURN(meter->input_, take(kLayerTokens));
  ASSIGN_OR_RETURN(meter->next_, take(kLayerTokens));
  ASSIGN_OR_RETURN(meter->off_, take(kLayerTokens));
  return meter;
}

void CacheMeter::set_all(std::span<const KvFormat> layers) {
  for (uint32_t l = 0; l < hyper().n_layers; ++l) session_->set_cache_format(l, layers[l]);
}

// The chunk through all layers; visit(begin, end) after each pass, its states in hidden_buffer().
template <class Visit>
Status CacheMeter::run(std::span<const Token> chunk, const Visit& visit) {
  Session& s = *session_;
  for (size_t begin = 0; begin < chunk.size(); begin += s.batch()) {
    if (interrupted()) return Status::interrupted();
    const size_t n = std::min<size_t>(s.batch(), chunk.size() - begin);
    TRY(s.embed(chunk.subspan(begin, n), static_cast<uint32_t>(begin), s.hidden_buffer()));
    TRY(s.run_layers(0, hyper().n_layers, static_cast<uint32_t>(begin), static_cast<int64_t>(n),
                     s.hidden_buffer()));
    TRY(visit(begin, begin + n));
  }
  return {};
}

Status CacheMeter::keep_reference(std::span<const Token> chunk) {
  set_all(std::vector<KvFormat>(hyper().n_layers, kF16));
  const size_t first = chunk.size() / 2;
  return run(chunk, [&](size_t begin, size_t end) -> Status {
    const size_t from = std::max(begin, first);
    if (from < end)
      std::copy_n(session_->hidden_buffer() + (from - begin) * hyper().width,
                  (end - from) * hyper().width, row(reference_, from - first));
    return {};
  });
}

// The tokens [begin, end) of a pass against the reference, as many at a time as there are rows of
// logits for both.
Status CacheMeter::score(std::span<const Token> chunk, size_t begin, size_t end,
                         std::vector<RowScore>& scores) {
  Session& s = *session_;
  const size_t first = chunk.size() / 2, rows = s.logit_rows() / 2;
  const size_t last = std::min(end, chunk.size() - 1);  // its last token predicts nothing in it
  const size_t vocabulary = hyper().vocabulary;
  float *own = s.logits_buffer(), *other = own + rows * vocabulary;
  for (size_t at = std::max(begin, first); at < last; at += rows) {
    const auto n = static_cast<int64_t>(std::min(rows, last - at));
    TRY(s.logits(s.hidden_buffer() + (at - begin) * hyper().width, n, own));
    TRY(s.logits(row(reference_, at - first), n, other));
    const size_t before = scores.size();
    scores.resize(before + static_cast<size_t>(n));
    s.team().parallel_for(n, 1, [&](int64_t i, int64_t, int) {
      scores[before + static_cast<size_t>(i)] =
          score_row({own + i * vocabulary, vocabulary}, {other + i * vocabulary, vocabulary},
                    chunk[at + static_cast<size_t>(i) + 1]);
    });
  }
  return {};
}

Result<std::vector<CacheScore>> CacheMeter::compare(std::span<const std::vector<KvFormat>> caches,
                                                    const std::vector<std::vector<Token>>& chunks,
                                                    double seconds, const Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::vector<RowScore>> scores(caches.size());
  const double passes = static_cast<double>(chunks.size() * (caches.size() + 1));
  double done = 0;
  const auto told = [&] {
    if (progress) progress("comparing KV caches", done++ / passes);
  };
  for (const std::vector<Token>& chunk : chunks) {
    told();
    TRY(keep_reference(chunk));
    for (size_t i = 0; i < caches.size(); ++i) {
      told();
      set_all(caches[i]);
      TRY(run(chunk,
              [&](size_t begin, size_t end) { return score(chunk, begin, end, scores[i]); }));
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (taken.count() > seconds) break;
  }
  std::vector<CacheScore> all;
  for (const auto& rows : scores) {
    all.push_back(summary(rows));
    if (!std::isfinite(all.back().kld_mean))
      return explain_no_numbers(session_->model(), session_->team());
  }
  return all;
}

// One layer over the states in input_.
Status CacheMeter::run_layer(uint32_t layer, KvFormat format, size_t n_tokens, float* out) {
  Session& s = *session_;
  s.set_cache_format(layer, format);
  for (size_t begin = 0; begin < n_tokens; begin += s.batch()) {
    if (interrupted()) return Status::interrupted();
    const size_t n = std::min<size_t>(s.batch(), n_tokens - begin), values = n * hyper().width;
    std::copy_n(row(input_, begin), values, s.hidden_buffer());
    TRY(s.run_layers(layer, layer + 1, static_cast<uint32_t>(begin), static_cast<int64_t>(n),
                     s.hidden_buffer()));
    std::copy_n(s.hidden_buffer(), values, out + begin * hyper().width);
  }
  return {};
}

// From input_, which becomes the next layer's.
Result<LayerLoss> CacheMeter::weigh_layer(uint32_t layer, std::span<const Token> chunk) {
  Session& s = *session_;
  const size_t n = chunk.size(), first = n / 2;
  const uint32_t width = hyper().width;
  TRY(run_layer(layer, kF16, n, next_.data()));
  if (!hyper().attends(layer)) {
    std::swap(input_, next_);
    return LayerLoss{};
  }
  // off_ becomes the error; returns it relative to the state, squared, by scored token.
  const auto errors = [&](KvFormat format) -> Result<std::vector<double>> {
    TRY(run_layer(layer, format, n, off_.data()));
    for (size_t i = 0; i < n * width; ++i) off_[i] -= next_[i];
    std::vector<double> shares;
    for (size_t t = first; t < n; ++t)
      shares.push_back(square(row(off_, t), width) / square(row(next_, t), width));
    return shares;
  };
  const auto sum = [](const std::vector<double>& all) {
    double total = 0;
    for (const double share : all) total += share;
    return total;
  };
  LayerLoss loss;
  for (size_t i = 1; i < std::size(kCacheTypes); ++i) {
    ASSIGN_OR_RETURN(const auto keys, errors({kCacheTypes[i], Type::F16}));
    ASSIGN_OR_RETURN(const auto values, errors({Type::F16, kCacheTypes[i]}));
    loss.key[i] = sum(keys), loss.value[i] = sum(values);
  }
  ASSIGN_OR_RETURN(std::vector<double> shares, errors(kQ4));
  const double all = sum(shares);
  std::ranges::nth_element(shares, shares.begin() + static_cast<ptrdiff_t>(shares.size() / 2));
  const double typical = std::sqrt(shares[shares.size() / 2]);
  const auto enlarged = static_cast<float>(std::max(1.0, kEnlargedTo / std::max(typical, 1e-30)));
  s.set_cache_format(layer, kF16);
  std::vector<RowScore> scores;
  for (size_t begin = 0; begin < n; begin += s.batch()) {
    const size_t end = std::min(n, begin + s.batch());
    float* x = s.hidden_buffer();
    for (size_t i = begin * width; i < end * width; ++i)
      x[i - begin * width] = next_[i] + enlarged * off_[i];
    TRY(s.run_layers(layer + 1, hyper().n_layers, static_cast<uint32_t>(begin),
                     static_cast<int64_t>(end - begin), x));
    TRY(score(chunk, begin, end, scores));
  }
  const double kld = summary(scores).kld_mean / (double{enlarged} * enlarged);
  if (!std::isfinite(kld)) return explain_no_numbers(s.model(), s.team());
  for (size_t i = 0; i < std::size(kCacheTypes); ++i) {
    loss.key[i] *= all > 0 ? kld / all : 0;
    loss.value[i] *= all > 0 ? kld / all : 0;
  }
  std::swap(input_, next_);
  return loss;
}

Result<std::vector<LayerLoss>> CacheMeter::weigh_layers(std::span<const Token> chunk,
                                                        const Progress& progress) {
  Session& s = *session_;
  chunk = chunk.first(std::min<size_t>(chunk.size(), kLayerTokens));
  TRY(keep_reference(chunk));
  for (size_t begin = 0; begin < chunk.size(); begin += s.batch()) {
    const size_t n = std::min<size_t>(s.batch(), chunk.size() - begin);
    TRY(s.embed(chunk.subspan(begin, n), static_cast<uint32_t>(begin), row(input_, begin)));
  }
  std::vector<LayerLoss> losses;
  const uint32_t n_layers = hyper().n_layers;
  for (uint32_t l = 0; l < n_layers; ++l) {
    const double left = 1 - static_cast<double>(l) / n_layers;  // of layers, each costs its tail
    if (progress) progress("weighing KV caches by layer", 1 - left * left);
    ASSIGN_OR_RETURN(const LayerLoss loss, weigh_layer(l, chunk));
    losses.push_back(loss);
  }
  return losses;
}

}  // namespace enxuto
