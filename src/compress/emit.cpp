#include "compress/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "compress/weights.h"
#include "plan/output_size.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;

// general.file_type as llama.cpp numbers it: a name for the format of most weights, shown to users.
struct FileType {
  Type type;
  uint32_t number;
};
constexpr FileType kFileTypes[] = {
    {Type::F32, 0},      {Type::F16, 1},     {Type::Q4_0, 2},     {Type::Q4_1, 3},
    {Type::Q8_0, 7},     {Type::Q5_0, 8},    {Type::Q5_1, 9},     {Type::Q2_K, 10},
    {Type::Q3_K, 12},    {Type::Q4_K, 15},   {Type::Q5_K, 17},    {Type::Q6_K, 18},
    {Type::IQ2_XXS, 19}, {Type::IQ2_XS, 20}, {Type::IQ3_XXS, 23}, {Type::IQ1_S, 24},
    {Type::IQ4_NL, 25},  {Type::IQ3_S, 26},  {Type::IQ2_S, 28},   {Type::IQ4_XS, 30},
    {Type::IQ1_M, 31},   {Type::BF16, 32},   {Type::TQ1_0, 36},   {Type::TQ2_0, 37},
    {Type::MXFP4, 38},   {Type::NVFP4, 39},  {Type::Q1_0, 40},    {Type::Q2_0, 41},
};

uint32_t file_type_of(const std::vector<Emission>& emissions) {
  std::map<Type, uint64_t> counts;
  for (const Emission& e : emissions) counts[e.type] += e.tensor->count();
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  for (const FileType& f : kFileTypes)
    if (most != counts.end() && f.type == most->first) return f.number;
  return 0;
}

Status announce(GgufWriter& writer, const std::vector<Emission>& emissions) {
  for (const Emission& e : emissions)
    TRY(writer.add(e.tensor->name, e.type, {e.tensor->shape, e.tensor->n_dims}));
  return Status();
}

// A bias lies in the order of its matrix's rows.
void copy_elements(const Model& model, const Tensor& vector, uint8_t* to) {
  for (uint64_t i = 0; i < vector.columns(); ++i)
    std::memcpy(to + i * sizeof(float),
                vector.data.data() + model.emit_row(vector, i) * sizeof(float), sizeof(float));
}

// Rows [begin, end) of the file's order, encoded side by side.
void encode_piece(const Model& model, const Emission& e, uint64_t begin, uint64_t end,
                  const Covariance* covariance, uint8_t* blocks, ThreadTeam& team) {
  const Tensor& tensor = *e.tensor;
  if (tensor.rows() == 1 && tensor.type == Type::F32 && e.type == Type::F32)
    return copy_elements(model, tensor, blocks);
  const Codec& codec = *find_codec(e.type);
  const uint64_t row_bytes = codec.row_bytes(tensor.columns());
  const auto columns = static_cast<int64_t>(tensor.columns());
  const auto body = [&](int64_t first, int64_t last, int) {
    const int64_t n = last - first;
    std::vector<float> rows(static_cast<size_t>(n * columns)),
        scratch(static_cast<size_t>(round_scratch(n, columns)));
    uint8_t* to = blocks + static_cast<uint64_t>(first) * row_bytes;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t from = model.emit_row(tensor, begin + static_cast<uint64_t>(first + i));
      if (e.type == tensor.type)
        std::memcpy(to + static_cast<uint64_t>(i) * row_bytes, tensor.row(from).data(), row_bytes);
      else
        decode_row(tensor, from, rows.data() + i * columns);
    }
    if (e.type == tensor.type) return;
    encode_rows(codec, {covariance, e.importance}, rows.data(), n, columns, kSweeps, to,
                scratch.data());
  };
  team.parallel_for(static_cast<int64_t>(end - begin), kRowsAtOnce, body);
}

}  // namespace

Metadata metadata_for(const Model& model, const std::vector<Emission>& emissions) {
  return output_metadata(model, file_type_of(emissions));
}

Status emit(const Model& model, const Metadata& metadata, const std::vector<Emission>& emissions,
            OutputFile& out, ThreadTeam& team, const Progress& progress) {
  GgufWriter writer(out, metadata);
  TRY(announce(writer, emissions));
  TRY(writer.begin());
  const auto total = static_cast<double>(writer.file_bytes());
  std::vector<uint8_t> piece;
  for (const Emission& e : emissions) {
    const uint64_t row_bytes = find_codec(e.type)->row_bytes(e.tensor->columns());
    const uint64_t rows = e.tensor->rows();
    const uint64_t at_once = std::clamp<uint64_t>(kPieceBytes / row_bytes, 1, rows);
    piece.resize(at_once * row_bytes);
    const Covariance* covariance = nullptr;
    if (e.covariance && e.type != e.tensor->type) {
      ASSIGN_OR_RETURN(covariance, e.covariance());
    }
    for (uint64_t begin = 0; begin < rows; begin += at_once) {
      if (interrupted()) return Status::interrupted();
      if (progress) progress("writing", static_cast<double>(out.size()) / total);
      const uint64_t end = std::min(begin + at_once, rows);
      encode_piece(model, e, begin, end, covariance, piece.data(), team);
      TRY(writer.write({piece.data(), (end - begin) * row_bytes}));
    }
    release_pages_of(model, *e.tensor);
  }
  TRY(writer.finish());
  return out.commit();
}

}  // namespace enxuto
