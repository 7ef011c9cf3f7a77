#include "models/hf_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "formats/safetensors_writer.h"
#include "models/architectures.h"
#include "models/hf_config_writer.h"
#include "models/hf_tokenizer_writer.h"
#include "platform/interrupt.h"
#include "platform/output_folder.h"

namespace enxuto {
namespace {

constexpr float kMostF16 = 65504;
constexpr const char* kSingle = "model.safetensors";

struct Exported {
  const Tensor* tensor;
  std::string name;
  Type type;
  bool vector;
  bool minus_one;  // a norm that Hugging Face stores as its distance from one
  bool permuted;   // q or k of a GGUF llama
  bool transposed;
  // As they are written.
  uint64_t rows() const { return transposed ? tensor->columns() : tensor->rows(); }
  uint64_t columns() const { return transposed ? tensor->rows() : tensor->columns(); }
  std::array<uint64_t, 2> shape() const { return {columns(), rows()}; }
  uint64_t bytes() const { return rows() * find_codec(type)->row_bytes(columns()); }
};

std::string folder_name(const Architecture& architecture, std::string name) {
  for (const auto& [usual, other] : architecture.first_names)
    if (name.starts_with(usual))
      return fmt::format("{}{}{}", kFirstPrefix, other,
                         std::string_view(name).substr(usual.size()));
  return name;
}

std::vector<Exported> exported_of(const Model& model, Type type) {
  const HyperParameters& h = model.hyper;
  const Architecture& architecture = *find_architecture(h.architecture);
  std::vector<Exported> all;
  const auto add = [&](const Tensor* tensor, std::string name, const TensorRule& rule) {
    if (!tensor) return;
    const bool vector = rule.rows == Dim::kNone;
    const bool of_heads = rule.gguf == std::string_view("attn_q.weight") ||
                          rule.gguf == std::string_view("attn_k.weight") ||
                          rule.gguf == std::string_view("attn_q.bias") ||
                          rule.gguf == std::string_view("attn_k.bias");
    all.push_back({tensor, folder_name(architecture, std::move(name)), vector ? Type::F32 : type,
                   vector, vector && architecture.norm_plus_one,
                   of_heads && h.rope_layout == RopeLayout::kInterleaved, rule.transposed});
  };
  add(model.token_embedding, kEmbeddingRule.hugging_face, kEmbeddingRule);
  add(model.position_embedding, kPositionRule.hugging_face, kPositionRule);
  for (uint32_t layer = 0; layer < h.n_layers; ++layer)
    for (const TensorRule& rule : architecture.layer)
      add(model.layers[layer].*rule.slot,
          fmt::format("model.layers.{}.{}", layer, rule.hugging_face), rule);
  add(model.output_norm, kOutputNormRule.hugging_face, kOutputNormRule);
  add(model.output_norm_bias, kOutputNormBiasRule.hugging_face, kOutputNormBiasRule);
  if (!model.tied()) add(model.output, kOutputRule.hugging_face, kOutputRule);
  // Four-byte numbers first, so that all are aligned.
  std::ranges::stable_partition(all, &Exported::vector);
  return all;
}

// Of each shard its tensors, in order.
std::vector<std::span<const Exported>> shards_of(const std::vector<Exported>& all, uint64_t most) {
  std::vector<std::span<const Exported>> shards;
  for (size_t begin = 0; begin < all.size();) {
    uint64_t bytes = all[begin].bytes();
    size_t end = begin + 1;
    for (; end < all.size() && bytes + all[end].bytes() <= most; ++end) bytes += all[end].bytes();
    shards.push_back(std::span(all).subspan(begin, end - begin));
    begin = end;
  }
  return shards;
}

std::string shard_name(size_t shard, size_t n) {
  return n == 1 ? kSingle : fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, n);
}

Status write_text(OutputFolder& folder, const std::string& name, const std::string& text) {
  ASSIGN_OR_RETURN(OutputFile out, folder.file(name));
  TRY(out.write(text));
  return out.commit();
}

std::string index_text(const std::vector<std::span<const Exported>>& shards) {
  uint64_t bytes = 0;
  std::string places;
  for (size_t s = 0; s < shards.size(); ++s)
    for (const Exported& each : shards[s]) {
      bytes += each.bytes();
      places += fmt::format("{}\n    \"{}\": \"{}\"", places.empty() ? "" : ",", each.name,
                            shard_name(s, shards.size()));
    }
  return fmt::format(
      "{{\n  \"metadata\": {{\"total_size\": {}}},\n  \"weight_map\": {{{}\n  }}\n}}\n", bytes,
      places);
}

// Tensors into files.
class Writing {
 public:
  Writing(const Model& model, std::span<uint8_t> working, ThreadTeam& team, uint64_t total,
          const Progress& progress)
      : model_(model), team_(team), total_(total), progress_(progress) {
    floats_ = reinterpret_cast<float*>(working.data());
    encoded_ = working.data() + working.size() / 2;
  }

  Result<uint64_t> write(std::span<const Exported> shard, OutputFile out) {
    SafetensorsWriter writer(out);
    for (const Exported& each : shard) {
      const auto shape = each.shape();
      writer.add(each.name, each.type, std::span(shape).first(each.vector ? 1 : 2));
    }
    TRY(out.reserve(writer.file_bytes()));
    TRY(writer.begin());
    for (const Exported& each : shard) TRY(write(each, writer));
    TRY(writer.finish());
    TRY(out.commit());
    return out.size();
  }

 private:
  Status write(const Exported& each, SafetensorsWriter& writer) {
    if (each.vector) return write_vector(each, writer);
    const uint64_t rows = each.rows(), row_bytes = each.bytes() / rows;
    const uint64_t at_once = each.transposed ? kExportedColumns : kExportedRows;
    for (uint64_t first = 0; first < rows; first += at_once) {
      if (interrupted()) return Status::interrupted();
      if (progress_) progress_("writing", static_cast<double>(done_) / static_cast<double>(total_));
      const uint64_t n = std::min(at_once, rows - first);
      if (each.transposed)
        read_columns(*each.tensor, first, n);
      else
        read_rows(each, first, n);
      TRY(encode_rows(each, n));
      TRY(writer.write({encoded_, n * row_bytes}));
      done_ += n * row_bytes;
    }
    return {};
  }

  Status write_vector(const Exported& each, SafetensorsWriter& writer) {
    const auto* values = reinterpret_cast<const float*>(each.tensor->data.data());
    const uint64_t n = each.tensor->columns();
    for (uint64_t i = 0; i < n; ++i)
      floats_[i] = values[source_row(each, i)] - (each.minus_one ? 1.0f : 0.0f);
    done_ += n * sizeof(float);
    return writer.write({reinterpret_cast<const uint8_t*>(floats_), n * sizeof(float)});
  }

  void read_rows(const Exported& each, uint64_t first, uint64_t n) {
    const Tensor& t = *each.tensor;
    team_.parallel_for(static_cast<int64_t>(n), 4, [&](int64_t begin, int64_t end, int) {
      for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i)
        t.codec().decode(t.row(source_row(each, first + i)).data(), floats_ + i * t.columns(),
                         t.columns());
    });
    model_.count_read(n * t.row_bytes(), kExportWindow / 2);
  }

  // They become rows. Some of the tensor's rows after the other, so that few pages are looked at.
  void read_columns(const Tensor& t, uint64_t first, uint64_t n) {
    const uint64_t skipped = t.codec().row_bytes(first), rows = t.rows();
    for (uint64_t row = 0; row < rows; row += kExportedRows) {
      const uint64_t some = std::min(kExportedRows, rows - row);
      team_.parallel_for(static_cast<int64_t>(some), 16, [&](int64_t begin, int64_t end, int) {
        float values[kExportedColumns];
        for (auto r = row + static_cast<uint64_t>(begin); r < row + static_cast<uint64_t>(end);
             ++r) {
          t.codec().decode(t.row(r).data() + skipped, values, n);
          for (uint64_t c = 0; c < n; ++c) floats_[c * rows + r] = values[c];
        }
      });
      model_.count_read(some * t.row_bytes(), kExportWindow / 2);
    }
  }

  Status encode_rows(const Exported& each, uint64_t n) {
    const Codec& to = *find_codec(each.type);
    const uint64_t columns = each.columns(), row_bytes = to.row_bytes(columns);
    std::atomic<bool> fits = true;
    team_.parallel_for(static_cast<int64_t>(n), 4, [&](int64_t begin, int64_t end, int) {
      for (auto i = static_cast<uint64_t>(begin); i < static_cast<uint64_t>(end); ++i) {
        const float* row = floats_ + i * columns;
        if (each.type == Type::F16 && std::any_of(row, row + columns, [](float v) {
              return std::isfinite(v) && std::fabs(v) > kMostF16;
            }))
          fits = false;
        to.encode(row, nullptr, encoded_ + i * row_bytes, columns);
      }
    });
    if (fits) return {};
    return Status::failed(fmt::format("{} has numbers too large for F16", each.tensor->name),
                          "choose --type bf16 or f32");
  }

  // Hugging Face pairs halves of a head where GGUF's llama pairs neighbours.
  uint64_t source_row(const Exported& each, uint64_t i) const {
    if (!each.permuted) return i;
    const uint64_t dim = model_.hyper.key_dim, half = dim / 2, within = i % dim;
    return i - within + within % half * 2 + within / half;
  }

  const Model& model_;
  ThreadTeam& team_;
  uint64_t total_, done_ = 0;
  const Progress& progress_;
  float* floats_;
  uint8_t* encoded_;
};

Status write_texts(const Model& model, Type type, OutputFolder& folder) {
  ASSIGN_OR_RETURN(const std::string config, hf_config(model, type));
  TRY(write_text(folder, "config.json", config));
  ASSIGN_OR_RETURN(const std::string generation, hf_generation_config(model.metadata));
  TRY(write_text(folder, "generation_config.json", generation));
  ASSIGN_OR_RETURN(const std::string tokenizer,
                   hf_tokenizer_config(model.metadata, model.hyper.trained_context));
  TRY(write_text(folder, "tokenizer_config.json", tokenizer));
  ASSIGN_OR_RETURN(OutputFile out, folder.file("tokenizer.json"));
  TRY(write_hf_tokenizer(model.metadata, out));
  return out.commit();
}

}  // namespace

Type export_type(const Model& model) {
  Type type = model.token_embedding->type;
  for (const LayerWeights& layer : model.layers)
    for (const Tensor* w : matrices_of(layer)) {
      const Type dense = w->type == Type::SF16 ? Type::F16 : w->type;
      if (find_codec(dense)->block_values > 1) return Type::BF16;
      if (dense != type) type = Type::F32;
    }
  return find_codec(type)->block_values > 1 ? Type::BF16 : type;
}

uint64_t export_working_bytes(const Model& model) {
  uint64_t most = 0;
  for (const Exported& each : exported_of(model, Type::F32))
    most = std::max(most, each.columns() * (each.vector       ? 1
                                            : each.transposed ? kExportedColumns
                                                              : kExportedRows));
  return 2 * (most + 16) * sizeof(float);
}

Result<ExportReport> export_model(const Model& model, Type type, const std::string& folder,
                                  uint64_t shard_bytes, std::span<uint8_t> working,
                                  ThreadTeam& team, const Progress& progress) {
  TRY(hf_config(model, type).status());  // before anything is made
  const std::vector<Exported> all = exported_of(model, type);
  const auto shards = shards_of(all, shard_bytes);
  uint64_t total = 0;
  for (const Exported& each : all) total += each.bytes();
  ASSIGN_OR_RETURN(OutputFolder out, OutputFolder::create(folder, total));
  TRY(write_texts(model, type, out));
  if (shards.size() > 1) TRY(write_text(out, "model.safetensors.index.json", index_text(shards)));
  Writing writing(model, working, team, total, progress);
  ExportReport report;
  report.shards = shards.size(), report.tensors = all.size();
  for (size_t s = 0; s < shards.size(); ++s) {
    ASSIGN_OR_RETURN(OutputFile file, out.file(shard_name(s, shards.size())));
    ASSIGN_OR_RETURN(const uint64_t bytes, writing.write(shards[s], std::move(file)));
    report.bytes += bytes;
  }
  TRY(out.commit());
  return report;
}

}  // namespace enxuto
