#include "prune/layer_masking.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "compress/weights.h"
#include "models/finite.h"
#include "plan/pieces.h"
#include "plan/pruning_plan.h"
#include "prune/matrix_values.h"

namespace enxuto {
namespace {

struct Kind {
  const char* name;
  const Tensor* LayerWeights::*slot;
};
constexpr Kind kAll[] = {
    {"attn_q", &LayerWeights::q},
    {"attn_k", &LayerWeights::k},
    {"attn_v", &LayerWeights::v},
    {"attn_qkv", &LayerWeights::qkv},
    {"attn_output", &LayerWeights::attn_output},
    {"ffn_gate", &LayerWeights::gate},
    {"ffn_up", &LayerWeights::up},
    {"ffn_down", &LayerWeights::down},
};

// The kinds that read the same, as numbers of kAll.
struct Readers {
  size_t begin, end;
};
constexpr Readers kInputs[] = {{0, 3}, {3, 4}, {4, 5}, {5, 7}, {7, 8}};

constexpr Type kSparse = Type::SF16;

// Any 32 neighbours have to fit into a block of it.
Status fits_sparse(const MaskPattern& pattern) {
  if (pattern.group && pattern.group <= 32 && 2 * pattern.kept <= pattern.group) return {};
  return Status::usage(
      fmt::format("{} stores 16 of each 32 neighbouring inputs at most, and {} leaves more of some",
                  find_codec(kSparse)->name,
                  pattern.group ? fmt::format("{}:{}", pattern.kept, pattern.group)
                                : fmt::format("--remove {:g}", pattern.share)),
      "say --pattern 16:32, or another of at most half in groups of at most 32");
}

}  // namespace

Status can_be_masked(const Model& model, const MaskRequest& request) {
  if (request.sparse) TRY(fits_sparse(request.pattern));
  for (const LayerWeights& w : model.layers)
    for (const Kind& kind : kAll) {
      const Tensor* t = w.*kind.slot;
      if (t && !is_float(t->type))
        return Status::usage(
            fmt::format("{} is {}: numbers of blocks, in which zeros would not survive", t->name,
                        find_codec(t->type)->name),
            "take the model as it was before it was compressed (F32, F16 or BF16), and compress "
            "what comes out");
      if (t && request.pattern.group && t->columns() % request.pattern.group)
        return Status::usage(fmt::format("{} reads {} inputs, which are no groups of {}", t->name,
                                         t->columns(), request.pattern.group),
                             "say another --pattern, or --remove");
    }
  return {};
}

Formats masked_formats(const Model& model, const MaskRequest& request) {
  const Codec& codec = *find_codec(kSparse);
  Formats formats;
  if (!request.sparse) return formats;
  for (const LayerWeights& w : model.layers)
    for (const Kind& kind : kAll)
      if (const Tensor* t = w.*kind.slot; t && t->columns() % codec.block_values == 0)
        if (codec.row_bytes(t->columns()) < t->row_bytes()) formats[t] = kSparse;
  return formats;
}

LayerMasking::LayerMasking(const Workbench& bench, const Dense& dense, const MaskRequest& request)
    : bench_(bench),
      dense_(dense),
      request_(request),
      formats_(masked_formats(bench.model(), request)) {
  for (size_t k = 0; k < kKinds; ++k) kinds_[k].kind = kAll[k].name;
}

Result<LayerMasking> LayerMasking::create(const Workbench& bench, const Dense& dense,
                                          const MaskRequest& request) {
  static_assert(std::size(kAll) == kKinds);
  MaskingFloats most;
  for (const LayerWeights& w : bench.model().layers) {
    const MaskingFloats layer = *masking_floats(w);  // planned, so sane
    most.layer = std::max(most.layer, layer.layer);
    most.scratch = std::max(most.scratch, layer.scratch);
  }
  LayerMasking masking(bench, dense, request);
  ASSIGN_OR_RETURN(masking.memory_, bench.take<float>(most.layer));
  ASSIGN_OR_RETURN(masking.scratch_, bench.take<float>(most.scratch));
  return masking;
}

void LayerMasking::open(uint32_t layer) {
  const LayerWeights& w = bench_.model().layers[layer];
  inputs_.clear();
  uint64_t used = 0;
  const auto take = [&](uint64_t n) {
    const std::span<float> taken = memory_.subspan(used, n);
    used += align_up(n, kLine / sizeof(float));
    return taken;
  };
  for (const Readers& readers : kInputs) {
    Input input;
    for (size_t k = readers.begin; k < readers.end; ++k)
      if (const Tensor* t = w.*kAll[k].slot) {
        const std::span<float> values = take(t->count());
        input.readers.push_back(
            {k,
             t,
             values,
             {Type::F32, reinterpret_cast<const uint8_t*>(values.data()),
              static_cast<int64_t>(t->rows()), static_cast<int64_t>(t->columns()),
              t->columns() * sizeof(float)}});
      }
    if (input.readers.empty()) continue;
    const uint64_t columns = input.readers.front().tensor->columns();
    input.covariance.emplace(dense_, static_cast<int64_t>(columns),
                             take(*covariance_bytes(columns) / sizeof(float)));
    input.covariance->clear();
    inputs_.push_back(std::move(input));
  }
}

// Every token counts as much as any other, as in the papers.
void LayerMasking::see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens) {
  const std::vector<float> ones(static_cast<size_t>(n_tokens), 1.0f);
  for (Input& input : inputs_)
    if (input.readers.front().tensor == &tensor)
      input.covariance->add(bench_.session.team(), x, x_stride, n_tokens, ones.data());
}

Status LayerMasking::look(uint32_t layer, FitTexts& texts) {
  ForwardHooks hooks;
  hooks.on_linear_input = [&](const Tensor& t, const float* x, int64_t stride, int64_t n) {
    see(t, x, stride, n);
  };
  return texts.show(layer, std::move(hooks));
}

Result<std::vector<float>> LayerMasking::energies_of(const Input& input) const {
  std::vector<float> energies(static_cast<size_t>(input.covariance->columns()));
  input.covariance->diagonal(energies);
  if (all_finite(energies)) return energies;
  return Status::bad_input("the model overflows on the calibration text",
                           "its weights are damaged: try another file");
}

Result<LayerOutliers> LayerMasking::outliers(uint32_t layer, FitTexts& texts) {
  open(layer);
  TRY(look(layer, texts));
  ThreadTeam& team = bench_.session.team();
  double sum = 0;
  uint64_t above = 0, weights = 0;
  for (const Input& input : inputs_) {
    ASSIGN_OR_RETURN(const auto energies, energies_of(input));
    for (const Matrix& matrix : input.readers) {
      TRY(read_values(bench_, *matrix.tensor, matrix.values));
      sum += sum_of_scores(team, matrix.weights(), energies);
      weights += matrix.values.size();
    }
  }
  const double bound = kOutlier * sum / static_cast<double>(weights);
  for (const Input& input : inputs_) {
    ASSIGN_OR_RETURN(const auto energies, energies_of(input));
    for (const Matrix& matrix : input.readers)
      above += scores_above(team, matrix.weights(), energies, bound);
  }
  return LayerOutliers{static_cast<double>(above) / static_cast<double>(weights), weights};
}

Status LayerMasking::mask(uint32_t layer, FitTexts& texts) {
  open(layer);
  if (request_.method == MaskMethod::kSparseGpt || request_.method == MaskMethod::kWanda)
    TRY(look(layer, texts));
  for (Input& input : inputs_) TRY(mask_readers(input));
  return {};
}

Status LayerMasking::mask_readers(Input& input) {
  ThreadTeam& team = bench_.session.team();
  const MaskPattern& pattern = request_.pattern;
  ASSIGN_OR_RETURN(const auto energies, energies_of(input));
  if (request_.method == MaskMethod::kSparseGpt)
    prepare_sparsegpt(team, *input.covariance, scratch_.data());
  for (const Matrix& matrix : input.readers) {
    TRY(read_values(bench_, *matrix.tensor, matrix.values));
    const MaskedMatrix m = matrix.weights();
    switch (request_.method) {
      case MaskMethod::kSparseGpt:
        mask_by_sparsegpt(team, m, *input.covariance, pattern, scratch_);
        break;
      case MaskMethod::kWanda:
        mask_by_wanda(team, m, energies, pattern);
        break;
      case MaskMethod::kMagnitude:
        mask_by_magnitude(team, m, pattern);
        break;
      case MaskMethod::kRandom:
        mask_by_lot(team, m, matrix.tensor->name, pattern);
        break;
    }
    count(matrix);
  }
  return {};
}

void LayerMasking::count(const Matrix& matrix) {
  MaskedKind& kind = kinds_[matrix.kind];
  kind.weights += matrix.values.size();
  kind.zeros += static_cast<uint64_t>(std::ranges::count(matrix.values, 0.0f));
  const Tensor& t = *matrix.tensor;
  const auto format = formats_.find(&t);
  const Codec& codec = format == formats_.end() ? t.codec() : *find_codec(format->second);
  kind.source_bytes += t.row_bytes() * t.rows();
  kind.bytes += codec.row_bytes(t.columns()) * t.rows();
}

ForwardHooks LayerMasking::hooks() const {
  ForwardHooks hooks;
  hooks.replacement = [this](const Tensor& tensor) -> const MatrixView* {
    for (const Input& input : inputs_)
      for (const Matrix& matrix : input.readers)
        if (matrix.tensor == &tensor) return &matrix.view;
    return nullptr;
  };
  return hooks;
}

std::vector<MaskedKind> LayerMasking::kinds() const {
  std::vector<MaskedKind> met;
  std::ranges::copy_if(kinds_, std::back_inserter(met), &MaskedKind::weights);
  return met;
}

void LayerMasking::put_values(KeptLayer& kept) const {
  for (const Input& input : inputs_)
    for (const Matrix& matrix : input.readers) kept.values[matrix.tensor] = matrix.values;
}

}  // namespace enxuto
