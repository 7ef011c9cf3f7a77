#include "compress/column_scales.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compress/weights.h"
#include "models/finite.h"

namespace enxuto {
namespace {

// Further apart, an activation or a weight might leave what formats can hold.
constexpr float kMost = 16;

bool can_scale(const std::vector<const Tensor*>& users, const std::vector<const Tensor*>& makers) {
  const auto fine = [](const Tensor* t) { return t && is_float(t->type); };
  // Vectors are written as the f32 numbers they are.
  const auto can_make = [&](const Tensor* t) {
    return fine(t) && (t->rows() > 1 || t->type == Type::F32);
  };
  return std::ranges::all_of(users, fine) && std::ranges::all_of(makers, can_make);
}

// What the FFN's norm hands to.
std::vector<const Tensor*> readers_of(const LayerWeights& w) {
  std::vector<const Tensor*> all = {w.gate, w.up};
  if (w.router) all.push_back(w.router);
  if (w.shared_router) all.insert(all.end(), {w.shared_router, w.shared_gate, w.shared_up});
  return all;
}

// What makes the output of a norm.
std::vector<const Tensor*> norm(const Tensor* weight, const Tensor* bias) {
  return bias ? std::vector{weight, bias} : std::vector{weight};
}

}  // namespace

Result<ColumnScales> ColumnScales::find(const Workbench& bench) {
  const Model& model = bench.model();
  ColumnScales scales;
  const auto offer = [&](Input input) -> Status {
    if (!can_scale(input.users, input.makers)) return {};
    ASSIGN_OR_RETURN(input.scales,
                     bench.arena.take<float>(owner::kColumnScales, input.tensor->columns()));
    std::ranges::fill(input.scales, 0.0f);
    scales.inputs_.push_back(std::move(input));
    return {};
  };
  for (uint32_t l = 0; l < model.layers.size(); ++l) {
    const LayerWeights& w = model.layers[l];
    TRY(offer({w.q, {w.q, w.k, w.v}, norm(w.attn_norm, w.attn_norm_bias), {}}));
    TRY(offer({w.qkv, {w.qkv}, norm(w.attn_norm, w.attn_norm_bias), {}}));
    TRY(offer({w.gate, readers_of(w), norm(w.ffn_norm, w.ffn_norm_bias), {}}));
    TRY(offer({w.shared_down, {w.shared_down}, {w.shared_up}, {}}));
    // Without a gate, what goes up does not arrive in proportion; columns of one expert have
    // nothing to do with those of another.
    if (!w.gate)
      TRY(offer({w.up, {w.up}, norm(w.ffn_norm, w.ffn_norm_bias), {}}));
    else if (!w.router)
      TRY(offer({w.down, {w.down}, {w.up}, {}}));
    if (!model.hyper.attends(l)) continue;
    const LayerWidths widths = model.hyper.widths(l);
    Input attended{w.attn_output,
                   {w.attn_output},
                   {w.v},
                   {},
                   model.hyper.value_dim,
                   widths.n_heads / widths.n_kv_heads};
    if (w.v_bias) attended.makers.push_back(w.v_bias);
    TRY(offer(std::move(attended)));
  }
  if (!model.tied())
    TRY(offer({model.output, {model.output}, norm(model.output_norm, model.output_norm_bias), {}}));
  for (const Input& input : scales.inputs_) {
    for (const Tensor* user : input.users) scales.users_[user] = &input;
    for (const Tensor* maker : input.makers) scales.makers_[maker] = &input;
  }
  return scales;
}

bool ColumnScales::see(const Tensor& tensor, const Tensor& piece, ThreadTeam& team) {
  const auto it = users_.find(&tensor);
  if (it == users_.end()) return false;
  constexpr int64_t kAtOnce = 256;
  float* sums = it->second->scales.data();
  // Each thread has columns of its own, so that sums do not depend on who adds them.
  team.parallel_for(
      static_cast<int64_t>(piece.columns()), kAtOnce, [&](int64_t begin, int64_t end, int) {
        const auto n = static_cast<size_t>(end - begin);
        float values[kAtOnce];
        for (uint64_t r = 0; r < piece.rows(); ++r) {
          const Codec& codec = piece.codec();
          codec.decode(piece.row(r).data() + codec.row_bytes(static_cast<uint64_t>(begin)), values,
                       n);
          for (size_t c = 0; c < n; ++c)
            sums[static_cast<size_t>(begin) + c] += values[c] * values[c];
        }
      });
  return all_finite(it->second->scales);
}

// The scales under which all columns of a block cost and weigh alike, of mean 1; columns that no
// weight uses, or no text, stay as they are. squares: sums of squared weights; energies: of each
// column.
std::vector<float> ColumnScales::Input::balance(std::span<const float> squares,
                                                std::span<const float> energies) const {
  const uint64_t elements = squares.size() / group;
  std::vector<std::optional<double>> logs(elements);
  double sum = 0, known = 0;
  for (uint64_t e = 0; e < elements; ++e) {
    double weights = 0, energy = 0;
    for (uint64_t h = 0; h < group; ++h) {
      weights += squares[column_of(e, h)];
      energy += energies[column_of(e, h)];
    }
    if (weights <= 0 || energy <= 0) continue;
    logs[e] = std::log(weights / energy) / 4;
    sum += *logs[e], ++known;
  }
  const double mean = known > 0 ? sum / known : 0;
  std::vector<float> found(squares.size());
  for (uint64_t e = 0; e < elements; ++e)
    for (uint64_t h = 0; h < group; ++h)
      found[column_of(e, h)] =
          std::clamp(static_cast<float>(std::exp(logs[e].value_or(mean) - mean)), 1 / kMost, kMost);
  return found;
}

void ColumnScales::settle(const Tensor& input, Covariance& covariance, ThreadTeam& team) {
  const auto it = std::ranges::find(inputs_, &input, &Input::tensor);
  if (it == inputs_.end()) return covariance.factor(team);
  // By whole energies first, so that damping adds to columns that are alike; then by what each
  // column leaves when others are known.
  std::vector<float> squares(it->scales.begin(), it->scales.end()), energies(squares.size());
  covariance.diagonal(energies);
  const std::vector<float> first = it->balance(squares, energies);
  covariance.scale(team, first);
  covariance.factor(team);
  for (size_t c = 0; c < squares.size(); ++c) squares[c] /= first[c] * first[c];
  const std::vector<float> second = it->balance(squares, covariance.conditional());
  covariance.scale(team, second);
  for (size_t c = 0; c < squares.size(); ++c) it->scales[c] = first[c] * second[c];
}

std::span<float> ColumnScales::of(const Tensor& input) {
  const auto it = std::ranges::find(inputs_, &input, &Input::tensor);
  return it == inputs_.end() ? std::span<float>() : it->scales;
}

void ColumnScales::drop_unused(const std::function<bool(const Tensor&)>& is_rounded) {
  const auto unused = [&](const auto& entry) {
    return std::ranges::none_of(entry.second->users,
                                [&](const Tensor* t) { return is_rounded(*t); });
  };
  std::erase_if(users_, unused);
  std::erase_if(makers_, unused);
}

void ColumnScales::scale_columns(const Tensor& tensor, float* values) const {
  const auto it = users_.find(&tensor);
  if (it == users_.end()) return;
  const std::span<const float> scales = it->second->scales;
  for (size_t c = 0; c < scales.size(); ++c) values[c] /= scales[c];
}

std::vector<float> ColumnScales::row_scales(const Tensor& tensor) const {
  std::vector<float> all(tensor.rows(), 1.0f);
  if (const auto it = makers_.find(&tensor); it != makers_.end())
    for (uint64_t row = 0; row < all.size(); ++row)
      all[row] = it->second->scales[it->second->column_of(row)];
  return all;
}

void ColumnScales::scale_row(const Tensor& tensor, uint64_t row, float* values) const {
  scale_columns(tensor, values);
  const auto it = makers_.find(&tensor);
  if (it == makers_.end()) return;
  const Input& input = *it->second;
  const bool vector = tensor.rows() == 1;
  for (uint64_t i = 0; i < tensor.columns(); ++i)
    values[i] *= input.scales[input.column_of(vector ? i : row)];
}

}  // namespace enxuto
