#include "train/merge_adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "memory/arena.h"
#include "models/finite.h"
#include "plan/compression_plan.h"
#include "plan/merge_plan.h"
#include "platform/interrupt.h"
#include "platform/threads.h"

namespace enxuto {
namespace {

Status check_types(const Adapter& adapter) {
  for (const LowRank& pair : adapter.pairs)
    if (!pair.w->codec().encode)
      return Status::bad_input(fmt::format("{} is in {}, which enxuto reads and does not write",
                                           pair.w->name, pair.w->codec().name),
                               "run the model with --lora instead");
  return {};
}

class Merge {
 public:
  Merge(const Model& model, const Adapter& adapter, const MergeLayout& layout, uint8_t* memory,
        ThreadTeam& team, GgufWriter& writer)
      : model_(model),
        adapter_(adapter),
        team_(team),
        writer_(writer),
        a_(reinterpret_cast<float*>(memory + layout.a)),
        b_(reinterpret_cast<float*>(memory + layout.b)),
        values_(reinterpret_cast<float*>(memory + layout.values)),
        changes_(reinterpret_cast<float*>(memory + layout.changes)),
        encoded_(memory + layout.encoded) {}

  Status write(const Tensor& tensor) {
    if (tensor.n_dims == 1) return write_elements(tensor);
    const LowRank* pair = adapter_.find(tensor);
    if (pair) TRY(decode(*pair));
    for (uint64_t first = 0; first < tensor.rows(); first += kMergedRows) {
      if (interrupted()) return Status::interrupted();
      const uint64_t n = std::min(kMergedRows, tensor.rows() - first);
      TRY(pair ? write_changed(*pair, first, n) : write_copied(tensor, first, n));
      model_.count_read(n * tensor.row_bytes(), kMergeWindow / 2);
    }
    return {};
  }

  // The share of the adapter's change that was written so far.
  double kept_change() const { return sums_.asked > 0 ? sums_.kept / sums_.asked : 1; }

 private:
  // Of a change and what became of it: their product, and the change's square.
  struct Sums {
    double kept = 0, asked = 0;
  };

  // A bias lies in the order of its matrix's rows.
  Status write_elements(const Tensor& vector) {
    for (uint64_t i = 0; i < vector.count(); ++i)
      TRY(writer_.write(
          vector.data.subspan(model_.emit_row(vector, i) * sizeof(float), sizeof(float))));
    return {};
  }

  Status decode(const LowRank& pair) {
    pair.a->codec().decode(pair.a->data.data(), a_, pair.a->count());
    decode_b(model_, adapter_, pair, b_);
    for (const auto& file : adapter_.files) file->let_go();
    if (!all_finite({a_, pair.a->count()})) return not_finite(*pair.a);
    return all_finite({b_, pair.b->count()}) ? Status() : not_finite(*pair.b);
  }

  Status write_copied(const Tensor& tensor, uint64_t first, uint64_t n) {
    for (uint64_t i = first; i < first + n; ++i)
      TRY(writer_.write(tensor.row(model_.emit_row(tensor, i))));
    return {};
  }

  Status write_changed(const LowRank& pair, uint64_t first, uint64_t n) {
    const uint64_t row_bytes = pair.w->row_bytes(), columns = pair.w->columns();
    Sums sums[kMergedRows];
    team_.parallel_for(static_cast<int64_t>(n), 1, [&](int64_t place, int64_t, int) {
      const auto i = static_cast<uint64_t>(place);
      sums[i] = change_row(pair, model_.emit_row(*pair.w, first + i), values_ + i * columns,
                           changes_ + i * columns, encoded_ + i * row_bytes);
    });
    for (uint64_t i = 0; i < n; ++i) sums_.kept += sums[i].kept, sums_.asked += sums[i].asked;
    return writer_.write({encoded_, n * row_bytes});
  }

  Sums change_row(const LowRank& pair, uint64_t row, float* values, float* changes,
                  uint8_t* encoded) const {
    const Codec& codec = pair.w->codec();
    const uint64_t columns = pair.w->columns();
    std::fill_n(changes, columns, 0.0f);
    for (uint64_t r = 0; r < pair.rank(); ++r) {
      const float share = pair.scale * b_[row * pair.rank() + r];
      for (uint64_t c = 0; c < columns; ++c) changes[c] += share * a_[r * columns + c];
    }
    codec.decode(pair.w->row(row).data(), values, columns);
    Sums sums;
    for (uint64_t c = 0; c < columns; ++c) {
      sums.asked += double{changes[c]} * changes[c];
      sums.kept -= double{changes[c]} * values[c];
      values[c] += changes[c];
    }
    codec.encode(values, nullptr, encoded, columns);
    codec.decode(encoded, values, columns);
    for (uint64_t c = 0; c < columns; ++c) sums.kept += double{changes[c]} * values[c];
    return sums;
  }

  const Model& model_;
  const Adapter& adapter_;
  ThreadTeam& team_;
  GgufWriter& writer_;
  float *a_, *b_, *values_, *changes_;
  uint8_t* encoded_;
  Sums sums_;
};

// A split model becomes one file.
Metadata metadata_of(const Model& model) {
  Metadata metadata = model.metadata;
  for (const auto& [key, value] : model.metadata.entries())
    if (key.starts_with("split.")) metadata.erase(key);
  return metadata;
}

MergeReport report_of(const Adapter& adapter, uint64_t file_bytes, double kept_change) {
  MergeReport report;
  report.file_bytes = file_bytes;
  report.kept_change = kept_change;
  report.matrices = adapter.pairs.size();
  for (const LowRank& pair : adapter.pairs)
    if (pair.w->codec().block_values > 1 &&
        std::ranges::find(report.rounded, pair.w->type) == report.rounded.end())
      report.rounded.push_back(pair.w->type);
  return report;
}

}  // namespace

Result<MergeReport> merge_adapter(const Model& model, const Adapter& adapter,
                                  const std::string& path, bool replace, int n_threads,
                                  const Progress& progress) {
  TRY(check_types(adapter));
  ASSIGN_OR_RETURN(const MergeLayout layout, lay_out_merge(adapter));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_merge(model, adapter, n_threads));
  ASSIGN_OR_RETURN(const auto arena, Arena::open(map));
  ASSIGN_OR_RETURN(const auto memory, arena->take<uint8_t>(owner::kWorking, layout.bytes));
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, replace));
  const Metadata metadata = metadata_of(model);
  GgufWriter writer(out, metadata);
  for (const Tensor& tensor : model.tensors)
    TRY(writer.add(tensor.name, tensor.type, {tensor.shape, tensor.n_dims}));
  TRY(out.reserve(writer.file_bytes()));
  TRY(writer.begin());
  ThreadTeam team(n_threads);
  Merge merge(model, adapter, layout, memory.data(), team, writer);
  for (const Tensor& tensor : model.tensors) {
    if (progress)
      progress("merging",
               static_cast<double>(out.size()) / static_cast<double>(writer.file_bytes()));
    TRY(merge.write(tensor));
  }
  TRY(writer.finish());
  TRY(out.commit());
  return report_of(adapter, writer.file_bytes(), merge.kept_change());
}

}  // namespace enxuto
