#include "compress/coarse_copy.h"

namespace enxuto {
namespace {

void encode_rows(const Tensor& rows, const Codec& codec, const float* importance, ThreadTeam& team,
                 uint8_t* blocks) {
  const uint64_t row_bytes = codec.row_bytes(rows.columns());
  team.parallel_for(static_cast<int64_t>(rows.rows()), 16, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(rows.columns());
    for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i) {
      decode_row(rows, i, row.data());
      codec.encode(row.data(), importance, blocks + i * row_bytes, row.size());
    }
  });
}

MatrixView view_of(const Codec& codec, const Tensor& tensor, const uint8_t* blocks) {
  return {codec.type, blocks, static_cast<int64_t>(tensor.rows()),
          static_cast<int64_t>(tensor.columns()), codec.row_bytes(tensor.columns())};
}

}  // namespace

Result<CoarseCopy> CoarseCopy::of(const Workbench& bench, const Tensor& tensor,
                                  const float* importance, std::span<uint8_t> memory) {
  const Codec& codec = *probe_codec(tensor);
  TRY(bench.reader.for_pieces(tensor, [&](uint64_t first, const Tensor& rows) {
    encode_rows(rows, codec, importance, bench.session.team(),
                memory.data() + first * codec.row_bytes(tensor.columns()));
    return Status();
  }));
  CoarseCopy copy;
  copy.view_ = view_of(codec, tensor, memory.data());
  return copy;
}

CoarseCopy CoarseCopy::of_rows(const Tensor& rows, const float* importance, ThreadTeam& team,
                               std::span<uint8_t> memory) {
  const Codec& codec = *probe_codec(rows);
  encode_rows(rows, codec, importance, team, memory.data());
  CoarseCopy copy;
  copy.view_ = view_of(codec, rows, memory.data());
  return copy;
}

ForwardHooks CoarseCopy::hooks(const Tensor& tensor) const {
  ForwardHooks hooks;
  hooks.replacement = [this, &tensor](const Tensor& asked) {
    return &asked == &tensor ? &view_ : nullptr;
  };
  return hooks;
}

void make_coarse(const Codec& codec, const float* importance, std::span<float> values) {
  std::vector<uint8_t> blocks(codec.row_bytes(values.size()));
  codec.encode(values.data(), importance, blocks.data(), values.size());
  codec.decode(blocks.data(), values.data(), values.size());
}

}  // namespace enxuto
