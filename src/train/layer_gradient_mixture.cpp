// A mixture of experts, there and back: expert after expert, each with the tokens that meet it. The
// way back computes what an expert gave again, so that only one's is in memory.
#include <algorithm>
#include <cmath>

#include "infer/experts.h"
#include "train/layer_gradient.h"

namespace enxuto {

// fed = the sum of share * expert(normed) over the experts that a token meets.
void LayerGradient::mixture(const LayerWeights& w, int64_t n) {
  route(w, n);
  std::fill_n(at_.fed, n * hyper_.width, 0.0f);
  for (int64_t e = 0; e < hyper_.n_experts; ++e) {
    const int64_t n_met = find_met(e, n);
    if (n_met == 0) continue;
    take_met(at_.normed, n_met, at_.gathered);
    linear(w.gate, nullptr, at_.gathered, n_met, at_.gate, e);
    linear(w.up, nullptr, at_.gathered, n_met, at_.up, e);
    activate(true, hyper_.ffn_width, n_met);
    weigh_met(e, n_met, at_.act);
    linear(w.down, nullptr, at_.act, n_met, at_.gathered, e);
    add_met(at_.gathered, n_met, at_.fed);
  }
  if (!w.shared_router) return;
  meet_all(w, n);
  linear(w.shared_down, nullptr, at_.act, n, at_.gathered);
  for_tokens(n, [&](int64_t t) {
    k_.add(at_.gathered + t * hyper_.width, hyper_.width, at_.fed + t * hyper_.width);
  });
}

// The normed input becomes its gradient, which is added up where fed was.
void LayerGradient::mixture_back(const LayerWeights& w, const TextRows& texts, const float* dfed,
                                 const SeeGradient& see) {
  const int64_t n = texts.rows();
  float* dnormed = at_.fed;
  route(w, n);
  std::fill_n(at_.dshares, n * hyper_.n_experts, 0.0f);
  std::fill_n(dnormed, n * hyper_.width, 0.0f);
  for (int64_t e = 0; e < hyper_.n_experts; ++e) {
    const int64_t n_met = find_met(e, n);
    if (n_met == 0) continue;
    expert_back(w, e, n_met, dfed, see);
    add_met(at_.gathered, n_met, dnormed);
  }
  const auto add_gathered = [&] {
    for_tokens(n, [&](int64_t t) {
      k_.add(at_.gathered + t * hyper_.width, hyper_.width, dnormed + t * hyper_.width);
    });
  };
  if (w.shared_router) {
    meet_all_back(w, n, dfed, see);
    add_gathered();
  }
  route_back(texts);
  linear_back({{w.router, nullptr, at_.dshares}}, at_.normed, n, at_.gathered, see);
  add_gathered();
  std::copy_n(dnormed, n * hyper_.width, at_.normed);
}

// Each token's probabilities of all experts, and its shares of those that it meets.
void LayerGradient::route(const LayerWeights& w, int64_t n) {
  linear(w.router, nullptr, at_.normed, n, at_.probabilities);
  for_tokens(n, [&](int64_t t) {
    float* probabilities = at_.probabilities + t * hyper_.n_experts;
    float* shares = at_.shares + t * hyper_.n_experts;
    k_.softmax(probabilities, hyper_.n_experts);
    std::copy_n(probabilities, hyper_.n_experts, shares);
    choose_experts(hyper_, shares);
  });
}

// What the shares' gradient was becomes that by the router's logits.
void LayerGradient::route_back(const TextRows& texts) {
  for_tokens(texts.rows(), [&](int64_t t) {
    const int64_t at = t * hyper_.n_experts;
    choose_experts_gradient(hyper_, at_.probabilities + at, at_.shares + at, at_.dshares + at);
  });
  if (balance_ == 0) return;
  session_.team().parallel_for(texts.n_texts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t text = begin; text < end; ++text) {
      const int64_t at = text * texts.n_tokens * hyper_.n_experts;
      add_balance_gradient(hyper_, at_.probabilities + at, at_.shares + at, texts.n_tokens,
                           balance_, at_.dshares + at);
    }
  });
}

// The tokens that meet the expert, and how many they are.
int64_t LayerGradient::find_met(int64_t expert, int64_t n) {
  int64_t n_met = 0;
  for (int64_t t = 0; t < n; ++t)
    if (at_.shares[t * hyper_.n_experts + expert] != 0) met_[n_met++] = static_cast<uint32_t>(t);
  return n_met;
}

// Their rows, (n, width), side by side.
void LayerGradient::take_met(const float* rows, int64_t n_met, float* to) {
  const int64_t width = hyper_.width;
  for_tokens(n_met, [&](int64_t i) { std::copy_n(rows + met_[i] * width, width, to + i * width); });
}

void LayerGradient::add_met(const float* rows, int64_t n_met, float* to) {
  const int64_t width = hyper_.width;
  for_tokens(n_met, [&](int64_t i) { k_.add(rows + i * width, width, to + met_[i] * width); });
}

// What the expert gives, (n_met, ffn_width), by the share that each token has of it.
void LayerGradient::weigh_met(int64_t expert, int64_t n_met, float* rows) {
  const int64_t width = hyper_.ffn_width;
  for_tokens(n_met, [&](int64_t i) {
    const float share = at_.shares[met_[i] * hyper_.n_experts + expert];
    for (int64_t c = 0; c < width; ++c) rows[i * width + c] *= share;
  });
}

// To the gradient by the rows of its input, where those were gathered, and that by its shares.
void LayerGradient::expert_back(const LayerWeights& w, int64_t expert, int64_t n_met,
                                const float* dfed, const SeeGradient& see) {
  const int64_t width = hyper_.ffn_width;
  take_met(at_.normed, n_met, at_.gathered);
  take_met(dfed, n_met, at_.dgathered);
  linear(w.gate, nullptr, at_.gathered, n_met, at_.gate, expert);
  linear(w.up, nullptr, at_.gathered, n_met, at_.up, expert);
  activate(true, width, n_met);
  weigh_met(expert, n_met, at_.act);
  linear_back({{w.down, nullptr, at_.dgathered, expert}}, at_.act, n_met, at_.dact, see);
  for_tokens(n_met, [&](int64_t i) {
    const int64_t at = met_[i] * hyper_.n_experts + expert;
    const double along = k_.dot(at_.act + i * width, at_.dact + i * width, width);
    at_.dshares[at] = static_cast<float>(along / double{at_.shares[at]});
  });
  weigh_met(expert, n_met, at_.dact);
  activate_back(true, width, n_met, at_.dact);
  linear_back({{w.gate, nullptr, at_.gate, expert}, {w.up, nullptr, at_.up, expert}}, at_.gathered,
              n_met, at_.gathered, see);
}

// act of the expert that all tokens meet, by the share that each has of it.
void LayerGradient::meet_all(const LayerWeights& w, int64_t n) {
  const int64_t width = hyper_.shared_ffn_width;
  linear(w.shared_gate, nullptr, at_.normed, n, at_.gate);
  linear(w.shared_up, nullptr, at_.normed, n, at_.up);
  activate(true, width, n);
  const float* router = floats(w.shared_router);
  for_tokens(n, [&](int64_t t) {
    const double z = k_.dot(at_.normed + t * hyper_.width, router, hyper_.width);
    const auto share = static_cast<float>(1 / (1 + std::exp(-z)));
    for (int64_t c = 0; c < width; ++c) at_.act[t * width + c] *= share;
    at_.shared_share[t] = share;
  });
}

// To the gradient by its input, where rows are gathered.
void LayerGradient::meet_all_back(const LayerWeights& w, int64_t n, const float* dfed,
                                  const SeeGradient& see) {
  const int64_t width = hyper_.shared_ffn_width;
  float* shares = at_.shared_share;
  meet_all(w, n);
  linear_back({{w.shared_down, nullptr, dfed}}, at_.act, n, at_.dact, see);
  for_tokens(n, [&](int64_t t) {
    float *act = at_.act + t * width, *dact = at_.dact + t * width;
    const auto along = static_cast<float>(k_.dot(act, dact, width));
    for (int64_t c = 0; c < width; ++c) dact[c] *= shares[t];
    shares[t] = along * (1 - shares[t]);  // the gradient by what the sigmoid is of
  });
  activate_back(true, width, n, at_.dact);
  linear_back({{w.shared_gate, nullptr, at_.gate},
               {w.shared_up, nullptr, at_.up},
               {w.shared_router, nullptr, shares}},
              at_.normed, n, at_.gathered, see);
}

}  // namespace enxuto
