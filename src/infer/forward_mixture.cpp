// The half of a layer where a token meets some experts of many. Tokens are grouped by expert: its
// matrices are read once for all of them.
#include <algorithm>
#include <cmath>

#include "infer/experts.h"
#include "infer/forward.h"

namespace enxuto {
namespace {

constexpr float kNever = -1e30f;  // a logit

}  // namespace

// x += sum of share * expert(norm(x)) over each token's experts: (n, width), in place.
Status Forward::mixture(uint32_t l, int64_t n, float* x) {
  const LayerWeights& w = model_.layers[l];
  float* normed = wide_;
  norm(x, w.ffn_norm, w.ffn_norm_bias, n, normed);
  TRY(route(w, normed, n));
  weights_.meet(l, shares_, n);
  tell(normed, n, {w.gate, w.up, w.shared_gate, w.shared_up});
  for (uint32_t e = 0; e < hyper_.n_experts; ++e) {
    const int64_t met = gather(e, normed, n);
    if (met > 0) TRY(meet(w, e, met, x));
  }
  return w.shared_router ? meet_shared(w, normed, n, x) : Status();
}

// Each token's share of each expert; 0 of those that it does not meet.
Status Forward::route(const LayerWeights& w, const float* normed, int64_t n) {
  TRY(linear(Operator::kGateUp, normed, n, {{w.router, nullptr, shares_}}));
  for_tokens(n, [&](int64_t t) {
    float* shares = shares_ + t * hyper_.n_experts;
    for (size_t e = 0; e < hooks_.gone_experts.size(); ++e)
      if (hooks_.gone_experts[e]) shares[e] = kNever;
    k_.softmax(shares, hyper_.n_experts);
    choose_experts(hyper_, shares);
  });
  return {};
}

// The tokens that meet the expert, side by side; returns how many they are.
int64_t Forward::gather(uint32_t expert, const float* normed, int64_t n) {
  int64_t met = 0;
  for (int64_t t = 0; t < n; ++t)
    if (shares_[t * hyper_.n_experts + expert] != 0) met_[met++] = static_cast<uint32_t>(t);
  for (int64_t i = 0; i < met; ++i)
    std::copy_n(normed + int64_t{met_[i]} * hyper_.width, hyper_.width,
                gathered_ + i * hyper_.width);
  return met;
}

// Shares are multiplied in before `down`, so that what its input is told to be weighs as much.
Status Forward::meet(const LayerWeights& w, uint32_t expert, int64_t met, float* x) {
  const int64_t width = hyper_.ffn_width;
  float *active = projections_, *up = active + met * width;
  TRY(compute(Operator::kGateUp, gathered_, met,
              {{w.gate, nullptr, active, expert}, {w.up, nullptr, up, expert}}));
  gate_mul(active, up, width, met);
  for_tokens(met, [&](int64_t i) {
    const float share = shares_[int64_t{met_[i]} * hyper_.n_experts + expert];
    for (int64_t c = 0; c < width; ++c) active[i * width + c] *= share;
  });
  TRY(linear(Operator::kDown, active, met, {{w.down, nullptr, gathered_, expert}}));
  if (hooks_.on_expert) hooks_.on_expert(expert, gathered_, met);
  for_tokens(met, [&](int64_t i) {
    k_.add(gathered_ + i * hyper_.width, hyper_.width, x + int64_t{met_[i]} * hyper_.width);
  });
  return {};
}

Status Forward::meet_shared(const LayerWeights& w, const float* normed, int64_t n, float* x) {
  const int64_t width = hyper_.shared_ffn_width;
  float *active = projections_, *up = active + n * width;
  TRY(compute(Operator::kGateUp, normed, n,
              {{w.shared_gate, nullptr, active}, {w.shared_up, nullptr, up}}));
  gate_mul(active, up, width, n);
  const float* router = floats(w.shared_router);
  for_tokens(n, [&](int64_t t) {
    const double z = k_.dot(normed + t * hyper_.width, router, hyper_.width);
    const auto share = static_cast<float>(1 / (1 + std::exp(-z)));
    for (int64_t c = 0; c < width; ++c) active[t * width + c] *= share;
  });
  TRY(linear(Operator::kDown, active, n, {{w.shared_down, nullptr, gathered_}}));
  add_normed(gathered_, nullptr, n, x);
  return {};
}

}  // namespace enxuto
