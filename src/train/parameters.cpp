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
    } else if (tensor.n_dims > 1) {
      draw(tensor, i, values);
    } else {
      std::ranges::fill(values, tensor.name.ends_with("bias") ? 0.0f : 1.0f);
    }
  }

 private:
  void draw(const Tensor& tensor, uint64_t i, std::span<float> values) const {
    const float deviation =
        ends_branch(tensor)
            ? kDeviation / std::sqrt(2.0f * static_cast<float>(source_.hyper.n_layers))
            : kDeviation;
    const auto place = static_cast<uint64_t>(&tensor - source_.tensors.data()) << 32 | i;
    const Chance chance = Chance::of(place, seed_);
    for (size_t c = 0; c < values.size(); ++c)
      values[c] = deviation * normal_at(chance, static_cast<uint32_t>(c));
  }

  const Model& source_;
  uint64_t seed_;
};

}  // namespace

Result<Parameters> Parameters::create(const Model& source, Type matrices, uint64_t seed,
                                      Arena& arena, ThreadTeam& team) {
  Parameters parameters;
  const MemoryPart* part = arena.map().find(owner::kParameters);
  ASSIGN_OR_RETURN(parameters.memory_, arena.take<uint8_t>(owner::kParameters, part->bytes));
  GgufFile parts;
  parts.metadata = source.metadata;
  parts.tensors = source.tensors;
  std::vector<Tensor>& tensors = parts.tensors;
  const Values values(source, seed);
  uint64_t offset = 0;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const Tensor& from = source.tensors[t];
    Tensor& to = tensors[t];
    to.type = trained_type(from, matrices);
    uint8_t* data = parameters.memory_.data() + offset;
    const uint64_t row_bytes = to.row_bytes();
    team.parallel_for(static_cast<int64_t>(to.rows()), 64, [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(to.columns());
      for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i) {
        values.row(from, i, row);
        to.codec().encode(row.data(), nullptr, data + i * row_bytes, row.size());
      }
    });
    to.data = {data, to.bytes()};
    offset += align_up(to.bytes(), kLine);
    for (const auto& file : source.files) file->let_go();
  }
  ASSIGN_OR_RETURN(parameters.model_, make_model(std::move(parts)));
  return parameters;
}

}  // namespace enxuto
