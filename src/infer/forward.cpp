#include "infer/forward.h"

#include <algorithm>
#include <cmath>

namespace enxuto {

Forward::Forward(const Model& model, const SessionLayout& layout, WeightStream& weights,
                 const LowRankWeights& adapter, uint8_t* scratch, uint8_t* kv_memory)
    : model_(model),
      hyper_(model.hyper),
      k_(kernels()),
      weights_(weights),
      adapter_(adapter),
      team_(layout.n_threads),
      cache_(model.hyper, layout, kv_memory),
      rope_(hyper_, false, floats(model.rope_factors)),
      sliding_rope_(hyper_, true, nullptr),
      buffers_(scratch + layout.scratch.prepared, std::max(layout.batch, layout.logit_rows),
               static_cast<int64_t>(layout.widest_input), layout.n_threads) {
  const auto piece = [&](uint64_t offset) { return reinterpret_cast<float*>(scratch + offset); };
  hidden_ = piece(layout.scratch.hidden);
  wide_ = piece(layout.scratch.wide);
  projections_ = piece(layout.scratch.projections);
  angles_ = piece(layout.scratch.angles);
  sliding_angles_ = piece(layout.scratch.sliding_angles);
  low_ = piece(layout.scratch.low);
  shares_ = piece(layout.scratch.shares);
  gathered_ = piece(layout.scratch.gathered);
  met_ = reinterpret_cast<uint32_t*>(scratch + layout.scratch.met);
}

Status Forward::embed(std::span<const Token> tokens, float* x) {
  const MatrixView table = view(*model_.token_embedding);
  const bool replaced = table.data != weights_.data(*model_.token_embedding);
  const Codec& codec = *find_codec(table.type);
  for (size_t t = 0; t < tokens.size(); ++t) {
    const uint8_t* source = table.data + static_cast<uint64_t>(tokens[t]) * table.row_bytes;
    if (weights_.reads_embedding_rows() && !replaced) {
      ASSIGN_OR_RETURN(source, weights_.embedding_row(static_cast<uint64_t>(tokens[t])));
    }
    float* row = x + t * hyper_.width;
    codec.decode(source, row, hyper_.width);
    if (hyper_.embedding_scale != 1.0f)
      for (uint32_t i = 0; i < hyper_.width; ++i) row[i] *= hyper_.embedding_scale;
  }
  return {};
}

// By way of the norms' memory, which is free before the first layer.
void Forward::add_positions(const Tensor& table, uint32_t position, int64_t n, float* x) {
  const uint8_t* rows = weights_.data(table);
  for (int64_t t = 0; t < n; ++t) {
    const uint64_t row = uint64_t{position} + static_cast<uint64_t>(t);
    table.codec().decode(rows + row * table.row_bytes(), wide_, hyper_.width);
    k_.add(wide_, hyper_.width, x + t * hyper_.width);
  }
}

Status Forward::run_layers(uint32_t begin, uint32_t end, uint32_t position, int64_t n, float* x) {
  rope_.fill(position, n, angles_);
  if (hyper_.sliding_window) sliding_rope_.fill(position, n, sliding_angles_);
  for (uint32_t l = begin; l < end; ++l) {
    if (hyper_.attends(l)) TRY(attention(l, position, n, x));
    TRY(model_.layers[l].router ? mixture(l, n, x) : feed_forward(l, n, x));
  }
  return {};
}

// x += ffn(norm(x)): (n, width), in place.
Status Forward::feed_forward(uint32_t l, int64_t n, float* x) {
  const LayerWeights& w = model_.layers[l];
  const int64_t width = hyper_.widths(l).ffn_width;
  float *normed = wide_, *fed = wide_;
  float *active = projections_, *up = active + n * width;
  norm(x, w.ffn_norm, w.ffn_norm_bias, n, normed);
  if (w.gate) {
    TRY(linear(Operator::kGateUp, normed, n, {{w.gate, nullptr, active}, {w.up, w.up_bias, up}}));
    gate_mul(active, up, width, n);
  } else {
    TRY(linear(Operator::kGateUp, normed, n, {{w.up, w.up_bias, active}}));
    activate(active, width, n);
  }
  TRY(linear(Operator::kDown, active, n, {{w.down, w.down_bias, fed}}));
  add_normed(fed, w.post_ffn_norm, n, x);
  return {};
}

void Forward::final_norm(const float* x, int64_t n, float* normed) {
  norm(x, model_.output_norm, model_.output_norm_bias, n, normed);
}

void Forward::multiply(const MatrixView& w, const float* x, int64_t n, float* y) {
  const MatmulJob job = {w, nullptr, y, w.rows};
  matmul(k_, team_, buffers_, x, w.columns, n, {&job, 1});
}

// Final norm, head, and the cap on the logits where the model has one.
Status Forward::head(const float* x, int64_t n, float* logits) {
  final_norm(x, n, wide_);
  TRY(linear(Operator::kHead, wide_, n, {{model_.output, nullptr, logits}}));
  const float cap = hyper_.final_logit_softcap;
  if (cap != 0.0f)
    for (int64_t i = 0; i < n * hyper_.vocabulary; ++i)
      logits[i] = cap * std::tanh(logits[i] / cap);
  return {};
}

Status Forward::linear(Operator op, const float* x, int64_t n,
                       std::initializer_list<Linear> layers) {
  for (const Linear& layer : layers) tell(x, n, {layer.w});
  return compute(op, x, n, layers);
}

void Forward::tell(const float* x, int64_t n, std::initializer_list<const Tensor*> matrices) {
  if (!hooks_.on_linear_input) return;
  for (const Tensor* w : matrices)
    if (w) hooks_.on_linear_input(*w, x, static_cast<int64_t>(w->columns()), n);
}

Status Forward::compute(Operator op, const float* x, int64_t n,
                        std::initializer_list<Linear> layers) {
  OperatorTimer timer(times_, op);
  for (const Linear& layer : layers) {
    const MatrixView w = view(layer);
    timer.add(w.row_bytes * static_cast<uint64_t>(w.rows),
              static_cast<uint64_t>(n * w.rows * w.columns));
  }
  TRY(multiply(x, n, layers));
  if (!adapter_.empty()) add_adapter(x, n, layers);
  return {};
}

void Forward::add_adapter(const float* x, int64_t n, std::initializer_list<Linear> layers) {
  for (const Linear& layer : layers)
    if (const LowRankMatrix* low_rank = adapter_.find(*layer.w)) {
      low_rank->down(k_, team_, x, n, low_);
      low_rank->up(k_, team_, low_, n, layer.y);
    }
}

// All layers read the same input: it is prepared once, unless they want it in different ways, and
// the threads meet once; where matrices are streamed, once a slice.
Status Forward::multiply(const float* x, int64_t n, std::initializer_list<Linear> layers) {
  MatmulJob jobs[3];
  size_t n_jobs = 0;
  int64_t shared = 0;
  bool alike = true, streamed = false;
  const auto columns = static_cast<int64_t>(layers.begin()->w->columns());
  for (const Linear& layer : layers) {
    const MatrixView w = view(layer);
    jobs[n_jobs++] = {w, bias(layer.bias), layer.y, w.rows};
    streamed |= is_streamed(*layer.w);
    const int64_t own = sharing(w, n);
    alike &= own == 0 || shared == 0 || own == shared;
    if (own != 0) shared = own;
  }
  if (!alike) {
    for (const Linear& layer : layers) TRY(multiply(x, n, {layer}));
    return {};
  }
  prepare_input(k_, team_, buffers_, x, columns, columns, n, shared);
  if (!streamed) {
    enxuto::multiply(k_, team_, buffers_, n, std::span(jobs, n_jobs), rounding());
    return {};
  }
  for (size_t i = 0; i < n_jobs; ++i) TRY(stream(layers.begin()[i], jobs[i], n));
  return {};
}

// Of the input's values that share a scale in its 8-bit codes; 0: this format reads floats; or
// kInBf16.
int64_t Forward::sharing(const MatrixView& w, int64_t n) const {
  if (rounding() == Rounding::kFastest && k_.multiplies_bf16(w.type, w.columns, n)) return kInBf16;
  if (!k_.reads_codes(w.type)) return 0;
  constexpr int64_t kSuperBlock = 256;
  const bool coarse =
      input_scales_ == InputScales::kOfLlamaCpp && find_codec(w.type)->block_values == kSuperBlock;
  return coarse ? kSuperBlock : kFineScale;
}

// llama.cpp multiplies by the weights as they are stored.
Rounding Forward::rounding() const {
  const bool exact = rounding_ == Rounding::kFastest && input_scales_ == InputScales::kOfLlamaCpp;
  return exact ? Rounding::kExact : rounding_;
}

// One matrix of several, whose input is prepared: slice by slice, unless it was replaced.
Status Forward::stream(const Linear& layer, const MatmulJob& job, int64_t n) {
  if (!is_streamed(*layer.w)) {
    enxuto::multiply(k_, team_, buffers_, n, {&job, 1}, rounding());
    return {};
  }
  const int64_t begin = std::max<int64_t>(0, layer.expert) * job.w.rows;
  uint32_t u = weights_.first_slice(*layer.w, std::max<int64_t>(0, layer.expert));
  for (int64_t done = 0; done < job.w.rows; ++u) {
    const WeightPiece& piece = weights_.plan().slices[u];
    MatmulJob slice = job;
    ASSIGN_OR_RETURN(slice.w.data, weights_.acquire(u));
    slice.w.rows = static_cast<int64_t>(piece.n_rows);
    done = static_cast<int64_t>(piece.first_row) - begin;
    slice.y += done;
    if (slice.bias) slice.bias += done;
    done += slice.w.rows;
    enxuto::multiply(k_, team_, buffers_, n, {&slice, 1}, rounding());
    weights_.release(u);
  }
  return {};
}

void Forward::norm(const float* x, const Tensor* weight, const Tensor* bias, int64_t n, float* y) {
  const int64_t width = hyper_.width;
  for_tokens(n, [&](int64_t t) {
    const float* from = x + t * width;
    if (hyper_.norm == Norm::kRms)
      k_.rms_norm(from, floats(weight), hyper_.norm_epsilon, width, y + t * width);
    else
      k_.layer_norm(from, floats(weight), floats(bias), hyper_.norm_epsilon, width, y + t * width);
  });
}

// x += branch, normed where the architecture norms what a branch adds.
void Forward::add_normed(float* branch, const Tensor* weight, int64_t n, float* x) {
  if (weight) norm(branch, weight, nullptr, n, branch);
  for_tokens(
      n, [&](int64_t t) { k_.add(branch + t * hyper_.width, hyper_.width, x + t * hyper_.width); });
}

void Forward::gate_mul(float* gate, const float* up, int64_t width, int64_t n) {
  const auto mul = hyper_.gate == Gate::kGelu ? k_.gelu_mul : k_.silu_mul;
  for_tokens(n, [&](int64_t t) { mul(gate + t * width, up + t * width, width, gate + t * width); });
}

void Forward::activate(float* up, int64_t width, int64_t n) {
  for_tokens(n, [&](int64_t t) { k_.gelu(up + t * width, width, up + t * width); });
}

MatrixView Forward::view(const Tensor& tensor) const {
  if (hooks_.replacement)
    if (const MatrixView* other = hooks_.replacement(tensor)) return *other;
  return {tensor.type, weights_.data(tensor), static_cast<int64_t>(tensor.rows()),
          static_cast<int64_t>(tensor.columns()), tensor.row_bytes()};
}

MatrixView Forward::view(const Linear& layer) const {
  MatrixView w = view(*layer.w);
  if (layer.expert < 0) return w;
  w.rows = static_cast<int64_t>(layer.w->shape[1]);
  w.data += static_cast<uint64_t>(layer.expert * w.rows) * w.row_bytes;
  return w;
}

bool Forward::is_streamed(const Tensor& tensor) const {
  return weights_.streams() && view(tensor).data == tensor.data.data();
}

const float* Forward::floats(const Tensor* tensor) const {
  return tensor ? reinterpret_cast<const float*>(weights_.data(*tensor)) : nullptr;
}

const float* Forward::bias(const Tensor* tensor) const {
  if (tensor && hooks_.replacement)
    if (const MatrixView* other = hooks_.replacement(*tensor))
      return reinterpret_cast<const float*>(other->data);
  return floats(tensor);
}

}  // namespace enxuto
