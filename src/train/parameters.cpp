#include "train/parameters.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/checked.h"
#include "kernels/plain_steps.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

constexpr float kDeviation = 0.02f;

bool ends_branch(const Tensor& tensor) {
  return tensor.name.find("attn_output") != std::string::npos ||
         tensor.name.find("ffn_down") != std::string::npos;
}

class Values {
 public:
  Values(const Model& source, uint64_t seed) : source_(source), seed_(seed) {}

  // Row i of a tensor as floats.
  void row(const Tensor& tensor, uint64_t i, std::span<float> values) const {
    if (!tensor.data.empty() && tensor.n_dims > 1) {
      const ByteView bytes = tensor.row(source_.emit_row(tensor, i));
      tensor.codec().decode(bytes.data(), values.data(), values.size());
    } else if (!tensor.data.empty()) {
      const auto* floats = reinterpret_cast<const float*>(tensor.data.data());
      for (size_t c = 0; c < values.size(); ++c) values[c] = floats[source_.emit_row(tensor, c)];
    } else if (tensor.name.ends_with("norm.weight")) {
      std::ranges::fill(values, 1.0f);
    } else if (tensor.name.ends_with("bias")) {
      std::ranges::fill(values, 0.0f);
    } else {
      draw(tensor, i, values);
    }
  }

 private:
  void draw(const Tensor& tensor, uint64_t i, std::span<float> values) const {
    const float deviation =
        ends_branch(tensor)
            ? kDeviation / std::sqrt(2.0f * static_cast<float>(source_.hyper.n_layers))
            : kDeviation;
    const auto place = uint64_t{source_.index_of(tensor)} << 32 | i;
    const Chance chance = Chance::of(place, seed_);
    for (size_t c = 0; c < values.size(); ++c)
      values[c] = deviation * normal_at(chance, static_cast<uint32_t>(c));
  }

  const Model& source_;
  uint64_t seed_;
};

}  // namespace

Result<Parameters> Parameters::create(const Model& source, const TrainingRequest& request,
                                      uint64_t seed, const Ranks& ranks, Arena& arena,
                                      ThreadTeam& team) {
  Parameters parameters;
  parameters.ranks_ = &ranks;
  const MemoryPart* part = arena.map().find(owner::kParameters);
  ASSIGN_OR_RETURN(const auto memory, arena.take<uint8_t>(owner::kParameters, part->bytes));
  if (const MemoryPart* gathered = arena.map().find(owner::kGathered)) {
    ASSIGN_OR_RETURN(parameters.gathered_, arena.take<uint8_t>(owner::kGathered, gathered->bytes));
  }
  GgufFile parts;
  parts.metadata = source.metadata;
  parts.tensors = source.tensors;
  for (Tensor& tensor : parts.tensors) tensor.type = trained_type(tensor, request.weights);
  parameters.place(source, memory, parts.tensors);
  const Values values(source, seed);
  for (size_t t = 0; t < parts.tensors.size(); ++t) {
    const Tensor &from = source.tensors[t], &to = parts.tensors[t];
    const Rows& own = parameters.rows_[t];
    const uint64_t row_bytes = to.row_bytes();
    team.parallel_for(
        static_cast<int64_t>(own.rows.size()), 64, [&](int64_t begin, int64_t end, int) {
          std::vector<float> row(to.columns());
          for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i) {
            values.row(from, own.rows.begin + i, row);
            to.codec().encode(row.data(), nullptr, own.data + i * row_bytes, row.size());
          }
        });
    source.let_go();
  }
  ASSIGN_OR_RETURN(parameters.model_, make_model(std::move(parts)));
  return parameters;
}

// Where each tensor's own rows lie, and where the model is to find it.
void Parameters::place(const Model& source, std::span<uint8_t> memory,
                       std::vector<Tensor>& tensors) {
  uint8_t* at = memory.data();
  for (size_t t = 0; t < tensors.size(); ++t) {
    const bool shared = !gathered_.empty() && is_shared_out(source, source.tensors[t]);
    const Share all = {0, tensors[t].rows()}, own = shared ? ranks_->share(all.end) : all;
    rows_.push_back({own, at});
    tensors[t].data = {shared ? gathered_.data() : at, tensors[t].bytes()};
    at += align_up(own.size() * tensors[t].row_bytes(), kLine);
  }
  if (gathered_.empty()) return;
  for (const LayerWeights& layer : source.layers) {
    uint64_t offset = 0;
    for (const Tensor* matrix : shared_out_of(source, layer)) {
      Tensor& tensor = tensors[source.index_of(*matrix)];
      tensor.data = {gathered_.data() + offset, tensor.bytes()};
      offset += align_up(tensor.bytes(), kLine);
    }
  }
}

Status Parameters::gather(const Tensor& tensor, const Share& rows) const {
  const Rows& own = this->rows(tensor);
  const uint64_t row_bytes = tensor.row_bytes();
  uint8_t* const to = gathered_.data() + (tensor.data.data() - gathered_.data());
  for (uint32_t rank = 0; rank < ranks_->size(); ++rank) {
    const Share its = share_of(tensor.rows(), rank, ranks_->size()).within(rows);
    if (its.size() == 0) continue;
    const std::span<uint8_t> place(to + (its.begin - rows.begin) * row_bytes,
                                   its.size() * row_bytes);
    if (rank == ranks_->rank())
      std::copy_n(own.data + (its.begin - own.rows.begin) * row_bytes, place.size(), place.data());
    TRY(ranks_->tell(rank, place));
  }
  return {};
}

}  // namespace enxuto
