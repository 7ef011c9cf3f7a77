#include "compress/emit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "compress/rounded_layers.h"
#include "compress/row_feedback.h"
#include "compress/weights.h"
#include "plan/output_size.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

uint32_t file_type_of(const std::vector<Emission>& emissions) {
  std::map<Type, uint64_t> counts;
  for (const Emission& e : emissions) counts[e.type] += e.tensor->count();
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  return most == counts.end() ? 0 : file_type_of(most->first);
}

Status announce(GgufWriter& writer, const std::vector<Emission>& emissions) {
  for (const Emission& e : emissions)
    TRY(writer.add(e.tensor->name, e.type, {e.tensor->shape, e.tensor->n_dims}));
  return Status();
}

// A bias lies in the order of its matrix's rows.
void write_elements(const Model& model, const Tensor& vector, const ColumnScales& scales,
                    uint8_t* to) {
  std::vector<float> values(vector.columns());
  decode_row(vector, 0, values.data());
  scales.scale_row(vector, 0, values.data());
  for (uint64_t i = 0; i < vector.columns(); ++i)
    std::memcpy(to + i * sizeof(float), &values[model.emit_row(vector, i)], sizeof(float));
}

// Some rows that are in memory, the first of them the tensor's `first`, into the file's order and
// format.
void encode_piece(const Model& model, const Emission& e, uint64_t first, const Tensor& piece,
                  const ColumnScales& scales, const Covariance* covariance, int sweeps,
                  uint8_t* blocks, ThreadTeam& team) {
  const Codec& codec = *find_codec(e.type);
  const uint64_t row_bytes = codec.row_bytes(piece.columns());
  const auto columns = static_cast<int64_t>(piece.columns());
  const auto body = [&](int64_t begin, int64_t end, int) {
    const int64_t n = end - begin;
    const bool copied = e.type == piece.type && !scales.change(*e.tensor);
    std::vector<float> rows(copied ? 0 : static_cast<size_t>(n * columns)),
        scratch(copied ? 0 : static_cast<size_t>(round_scratch(n, columns)));
    uint8_t* to = blocks + static_cast<uint64_t>(begin) * row_bytes;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t from =
          model.emit_row(*e.tensor, first + static_cast<uint64_t>(begin + i)) - first;
      float* row = rows.data() + i * columns;
      if (copied) {
        std::memcpy(to + static_cast<uint64_t>(i) * row_bytes, piece.row(from).data(), row_bytes);
      } else {
        decode_row(piece, from, row);
        scales.scale_row(*e.tensor, first + from, row);
      }
    }
    if (!copied)
      encode_rows(codec, {covariance, e.importance}, rows.data(), n, columns, sweeps, to,
                  scratch.data());
  };
  team.parallel_for(static_cast<int64_t>(piece.rows()), kRowsAtOnce, body);
}

// The same with feedback between the rows, which are rounded in the model's order.
void encode_piece(const Model& model, const Emission& e, uint64_t first, const Tensor& piece,
                  const ColumnScales& scales, const Covariance& covariance,
                  const RowFeedback& feedback, int sweeps, uint8_t* blocks, ThreadTeam& team) {
  const Codec& codec = *find_codec(e.type);
  const uint64_t row_bytes = codec.row_bytes(piece.columns());
  std::vector<uint64_t> places(piece.rows());  // in the file
  for (uint64_t i = 0; i < places.size(); ++i)
    places[model.emit_row(*e.tensor, first + i) - first] = i;
  feedback.encode(
      team, codec, {&covariance, e.importance}, sweeps, static_cast<int64_t>(first),
      static_cast<int64_t>(piece.rows()),
      [&](int64_t row, float* values) {
        decode_row(piece, static_cast<uint64_t>(row) - first, values);
        scales.scale_row(*e.tensor, static_cast<uint64_t>(row), values);
      },
      [&](int64_t row, const uint8_t* encoded) {
        std::memcpy(blocks + places[static_cast<uint64_t>(row) - first] * row_bytes, encoded,
                    row_bytes);
      });
}

// Where bytes of a layer go: into the file, and into the record of that layer where one is kept.
struct LayerSink {
  GgufWriter& file;
  std::optional<RecordWriter> record;

  Status write(ByteView bytes) {
    if (record) TRY(record->write(bytes));
    return file.write(bytes);
  }
};

Status emit_tensor(const Workbench& bench, const Emission& e, const ColumnScales& scales,
                   std::span<uint8_t> memory, std::span<float> errors, const OutputFile& out,
                   LayerSink& sink) {
  const uint64_t row_bytes = find_codec(e.type)->row_bytes(e.tensor->columns());
  if (e.tensor->rows() == 1 && e.tensor->type == Type::F32 && e.type == Type::F32) {
    std::vector<uint8_t> elements(row_bytes);
    write_elements(bench.model(), *e.tensor, scales, elements.data());
    return sink.write(elements);
  }
  const Covariance *covariance = nullptr, *outputs = nullptr;
  if (e.type != e.tensor->type) {
    if (e.covariance) {
      ASSIGN_OR_RETURN(covariance, e.covariance());
    }
    if (e.outputs && find_codec(e.type)->block_values > 1) {
      ASSIGN_OR_RETURN(outputs, e.outputs());
    }
  }
  return bench.reader.for_pieces(*e.tensor, [&](uint64_t first, const Tensor& rows) {
    if (interrupted()) return Status::interrupted();
    if (bench.progress)
      bench.progress("writing",
                     static_cast<double>(out.size()) / static_cast<double>(sink.file.file_bytes()));
    if (outputs)
      encode_piece(bench.model(), e, first, rows, scales, *covariance,
                   RowFeedback(*outputs, errors), bench.plan.sweeps, memory.data(),
                   bench.session.team());
    else
      encode_piece(bench.model(), e, first, rows, scales, covariance, bench.plan.sweeps,
                   memory.data(), bench.session.team());
    return sink.write(memory.first(rows.rows() * row_bytes));
  });
}

uint64_t hash_of_formats(const std::vector<Emission>& emissions) {
  StreamHash hash;
  for (const Emission& e : emissions) hash.add(bytes_of(std::span(&e.type, 1)));
  return hash.value();
}

}  // namespace

Metadata metadata_for(const Model& model, const std::vector<Emission>& emissions) {
  return output_metadata(model.metadata, file_type_of(emissions));
}

Status emit(const Workbench& bench, const Metadata& metadata,
            const std::vector<Emission>& emissions, const ColumnScales& scales, OutputFile& out) {
  GgufWriter writer(out, metadata);
  TRY(announce(writer, emissions));
  TRY(writer.begin());
  uint64_t most = 0;
  for (const Emission& e : emissions)
    most = std::max(most, bench.reader.at_once(*e.tensor) * e.tensor->row_bytes());
  ASSIGN_OR_RETURN(const auto memory, bench.take<uint8_t>(most));
  ASSIGN_OR_RETURN(const auto errors,
                   bench.take<float>(bench.plan.row_error_bytes / sizeof(float)));
  const uint32_t n_layers = bench.model().hyper.n_layers + 1;  // with the head
  ASSIGN_OR_RETURN(const auto rounded,
                   RoundedLayers::open(bench.state, hash_of_formats(emissions), n_layers));
  for (uint32_t l = 0; l < n_layers; ++l) {
    if (l < rounded.count()) {
      TRY(rounded.take(l, memory, [&](ByteView bytes) { return writer.write(bytes); }));
      continue;
    }
    ASSIGN_OR_RETURN(auto record, rounded.create(l));
    LayerSink sink{writer, std::move(record)};
    for (const Emission& e : std::ranges::equal_range(emissions, l, {}, &Emission::layer))
      TRY(emit_tensor(bench, e, scales, memory, errors, out, sink));
    if (sink.record) TRY(sink.record->keep());
  }
  TRY(writer.finish());
  TRY(out.commit());
  return rounded.forget();
}

}  // namespace enxuto
