#include "plan/gradient_layout.h"

#include <algorithm>

#include "kernels/dense_attention.h"
#include "kernels/weight_products.h"
#include "plan/pieces.h"

namespace enxuto {

Result<GradientLayout> lay_out_gradients(const Model& model, uint32_t n_tokens, int n_threads,
                                         uint64_t rank, bool rounds) {
  const HyperParameters& hyper = model.hyper;
  const LayerWeights like = model.layers.empty() ? LayerWeights() : model.layers[0];
  GradientLayout l{};
  l.n_tokens = n_tokens, l.n_threads = n_threads;
  Pieces all;
  const auto each = [n_tokens](Pieces& pieces, OptionalSize values) {
    return pieces.next(floats(n_tokens, values));
  };
  const OptionalSize q = checked_mul(hyper.n_heads, hyper.key_dim),
                     k = checked_mul(hyper.n_kv_heads, hyper.key_dim),
                     v = checked_mul(hyper.n_kv_heads, hyper.value_dim),
                     heads = checked_mul(hyper.n_heads, hyper.value_dim),
                     qkv = like.qkv ? checked_add(q, checked_add(k, v)) : q;
  l.angles = each(all, hyper.rope_dims);
  l.sliding_angles = each(all, hyper.sliding_window ? hyper.rope_dims : 0);
  l.x = each(all, hyper.width), l.normed = each(all, hyper.width);
  l.q = each(all, q), l.k = each(all, k), l.v = each(all, v);
  l.attended = each(all, heads), l.log_sums = each(all, hyper.n_heads);
  l.raw_q = each(all, like.q_norm ? q : 0), l.raw_k = each(all, like.k_norm ? k : 0);
  l.middle = each(all, hyper.width), l.projected = each(all, hyper.width);
  l.fed = each(all, hyper.width), l.branch = each(all, hyper.width);
  l.kept_end = like.post_ffn_norm ? l.branch : l.projected;
  l.qkv = each(all, like.qkv ? qkv : 0);
  l.low = each(all, rank), l.dlow = each(all, checked_mul(3, rank));
  Pieces there(all.end()), back(all.end()), head(all.end());
  const uint64_t ffn_width = std::max(hyper.ffn_width, hyper.shared_ffn_width);
  l.gate = each(there, like.gate ? ffn_width : 0), l.up = each(there, ffn_width);
  l.act = each(there, ffn_width);
  l.kept_gates = like.router ? 0 : l.act - l.gate;
  const auto mixed = [&](uint64_t values) { return each(there, like.router ? values : 0); };
  l.probabilities = mixed(hyper.n_experts), l.shares = mixed(hyper.n_experts);
  l.dshares = mixed(hyper.n_experts), l.shared_share = mixed(1), l.met = mixed(1);
  l.gathered = mixed(hyper.width), l.dgathered = mixed(hyper.width), l.dact = mixed(ffn_width);
  l.dq = each(back, q), l.dk = each(back, k), l.dv = each(back, v);
  l.dattended = each(back, heads);
  l.logits = each(head, std::min(hyper.vocabulary, kVocabularyBlock));
  Pieces rest(std::max({there.end(), back.end(), head.end()}));
  l.products = rest.next(floats(WeightProducts::scratch_floats(n_threads), 1));
  l.attention = rest.next(floats(DenseAttention::scratch_floats(n_threads), 1));
  const uint64_t widest = std::max<uint64_t>(
      {hyper.width, ffn_width, qkv.value_or(0), std::min(hyper.vocabulary, kVocabularyBlock)});
  l.rounds = rounds;
  l.rounded = rest.next(rounds ? floats(n_tokens, widest) : 0);  // two of half the bytes
  l.bytes = rest.end();
  for (const Pieces& pieces : {all, there, back, head, rest})
    if (pieces.absurd())
      return Status::does_not_fit("a layer's gradients take more than can be counted");
  return l;
}

OptionalSize checkpoint_bytes(const HyperParameters& hyper, uint64_t tokens) {
  constexpr uint64_t kBf16 = 2, kPage = 4096;  // what direct reads and writes are made of
  return checked_align(checked_mul(checked_mul(tokens, hyper.width), kBf16), kPage);
}

}  // namespace enxuto
