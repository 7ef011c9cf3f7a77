#include "prune/pruned_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "compress/weights.h"
#include "models/architectures.h"
#include "plan/output_size.h"
#include "platform/interrupt.h"
#include "tokenizer/smaller_vocabulary.h"

namespace enxuto {
namespace {

constexpr const char* kUneven = "deci";
constexpr uint64_t kRowsAtOnce = 64;  // that are encoded

// Its own format, or where that does not divide the row, the next plainer one.
Type type_for(Type own, uint64_t columns) {
  for (const Type type : {own, Type::Q8_0, Type::F16})
    if (const Codec* codec = find_codec(type); codec->encode && columns % codec->block_values == 0)
      return type;
  return Type::F16;
}

template <class Piece>
uint64_t piece_bytes(const Piece& piece, uint32_t alignment) {
  uint64_t rows = 1;
  for (size_t d = 1; d < piece.shape.size(); ++d) rows *= piece.shape[d];
  return align_up(find_codec(piece.type)->row_bytes(piece.shape[0]) * rows, alignment);
}

// Where a head's row i of pairs (2i, 2i + 1) lies among halves (i, i + n / 2).
uint64_t half_of_pair(uint64_t i, uint64_t n) { return i / 2 + (i % 2) * (n / 2); }

}  // namespace

ModelShape whole_shape(const Model& model) {
  ModelShape shape;
  for (uint32_t l = 0; l < model.hyper.n_layers; ++l) {
    const LayerWidths widths = model.hyper.widths(l);
    shape.layers.push_back({l, widths.n_kv_heads, widths.ffn_width, model.hyper.n_experts});
  }
  return shape;
}

bool is_even(const ModelShape& shape) {
  return std::ranges::all_of(shape.layers, [&](const LayerShape& layer) {
    return layer.kv_heads == shape.layers.front().kv_heads &&
           layer.channels == shape.layers.front().channels;
  });
}

Status can_be_uneven(const Model& model) {
  const HyperParameters& h = model.hyper;
  const std::string& name = h.architecture;
  if (h.n_experts)
    return Status::usage("layers of a mixture of experts have to be as wide as each other",
                         "remove experts: --what experts");
  if (name != "llama" && name != "qwen2" && name != kUneven)
    return Status::usage(
        fmt::format("layers of a {} have to be as wide as each other, in llama.cpp", name),
        "say --uniform");
  if (h.rope_dims != h.key_dim)
    return Status::usage(
        "its positions turn a part of each head only, which llama.cpp does not do "
        "where layers differ",
        "say --uniform");
  return {};
}

Result<PrunedFile> PrunedFile::plan(const Model& model, ModelShape shape, Formats formats) {
  PrunedFile file(model, std::move(shape), std::move(formats));
  file.even_ = is_even(file.shape_) && model.hyper.architecture != kUneven;
  if (!file.even_) TRY(can_be_uneven(model));
  const Architecture& architecture =
      *find_architecture(file.even_ ? std::string_view(model.hyper.architecture) : kUneven);
  file.pairs_halves_ = model.hyper.rope_layout == RopeLayout::kHalves &&
                       architecture.rope_layout == RopeLayout::kInterleaved;
  TRY(file.set_metadata());
  TRY(file.list_pieces());
  return file;
}

Status PrunedFile::set_metadata() {
  const HyperParameters& h = model_.hyper;
  const uint32_t file_type =
      static_cast<uint32_t>(model_.metadata.unsigned_at("general.file_type").value_or(1));
  Metadata metadata = model_.metadata;
  if (!shape_.tokens.empty()) {
    ASSIGN_OR_RETURN(metadata, keep_tokens(model_.metadata, shape_.tokens));
  }
  metadata_ = output_metadata(std::move(metadata), file_type);
  std::string prefix = h.architecture + ".";
  if (!even_ && h.architecture != kUneven) {
    metadata_.rename_prefix(prefix, std::string(kUneven) + ".");
    metadata_.set_string("general.architecture", kUneven);
    prefix = std::string(kUneven) + ".";
  }
  std::vector<int32_t> heads, kv_heads, channels;
  bool same_heads = true;
  for (const LayerShape& layer : shape_.layers) {
    const LayerWidths own = h.widths(layer.layer);
    const uint32_t sharing = own.n_kv_heads ? own.n_heads / own.n_kv_heads : 0;
    heads.push_back(static_cast<int32_t>(layer.kv_heads * sharing));
    kv_heads.push_back(static_cast<int32_t>(layer.kv_heads));
    channels.push_back(static_cast<int32_t>(layer.channels));
    same_heads &= layer.kv_heads == own.n_kv_heads;
  }
  metadata_.set_u32(prefix + "block_count", static_cast<uint32_t>(shape_.layers.size()));
  const auto set = [&](const char* key, const std::vector<int32_t>& values) {
    if (even_)
      metadata_.set_u32(prefix + key, static_cast<uint32_t>(values.front()));
    else
      metadata_.set_i32s(prefix + key, values);
  };
  set("attention.head_count", heads);
  set("attention.head_count_kv", kv_heads);
  set("feed_forward_length", channels);
  if (h.n_experts)  // of any layer
    metadata_.set_u32(prefix + "expert_count", shape_.layers.front().experts);
  if (!even_ || !same_heads) {  // no longer the width divided by the heads
    metadata_.set_u32(prefix + "attention.key_length", h.key_dim);
    metadata_.set_u32(prefix + "attention.value_length", h.value_dim);
    metadata_.set_u32(prefix + "rope.dimension_count", h.rope_dims);
  }
  if (h.architecture == "qwen2" && even_ && !same_heads)
    return Status::usage("llama.cpp wants all heads of a qwen2 whose layers are alike",
                         "leave out --uniform, or remove something else");
  return {};
}

uint64_t PrunedFile::length(Which which, uint64_t whole, const LayerShape* layer) const {
  const HyperParameters& h = model_.hyper;
  switch (which) {
    case Which::kAll:
      return whole;
    case Which::kHeads:
      return whole / h.widths(layer->layer).n_kv_heads * layer->kv_heads;
    case Which::kChannels:
      return layer->channels;
    case Which::kExperts:
      return whole / h.n_experts * layer->experts;
    case Which::kTokens:
      return shape_.tokens.empty() ? whole : shape_.tokens.size();
  }
  return whole;
}

std::optional<PrunedFile::Piece> PrunedFile::piece(const Tensor* tensor, std::string name,
                                                   const LayerShape* layer, Which rows,
                                                   Which columns) const {
  if (!tensor) return std::nullopt;
  Piece piece{tensor, std::move(name), tensor->type, {}, rows, columns, {}};
  piece.shape.push_back(length(columns, tensor->columns(), layer));
  if (tensor->n_dims == 3) {
    piece.shape.push_back(tensor->shape[1]);
    piece.shape.push_back(layer->experts);
  } else if (tensor->n_dims == 2) {
    piece.shape.push_back(length(rows, tensor->rows(), layer));
  }
  if (columns != Which::kAll && tensor->n_dims > 1)
    piece.type = type_for(tensor->type, piece.shape.front());
  if (const auto it = formats_.find(tensor); it != formats_.end()) piece.type = it->second;
  return piece;
}

std::vector<PrunedFile::Piece> PrunedFile::layer_pieces(uint32_t place,
                                                        const LayerShape& layer) const {
  std::vector<Piece> pieces;
  const Architecture& architecture = *find_architecture(model_.hyper.architecture);
  for (const TensorRule& rule : layer_rules(architecture, model_.hyper)) {
    const bool attention = is_of_attention(rule);
    if (attention && layer.kv_heads == 0) continue;
    if (auto one = piece(model_.layers[layer.layer].*rule.slot, layer_tensor_name(place, rule),
                         &layer, rule.each_expert ? Which::kExperts : which_of(rule.rows),
                         rule.each_expert ? Which::kAll : which_of(rule.columns))) {
      one->part = attention ? Part::kAttention : Part::kFfn;
      pieces.push_back(*std::move(one));
    }
  }
  return pieces;
}

uint64_t PrunedFile::part_bytes(const Model& model, const LayerShape& layer, Part part) {
  const uint32_t alignment = output_header(model).alignment;
  const PrunedFile file(model, {}, {});
  uint64_t bytes = 0;
  for (const Piece& piece : file.layer_pieces(0, layer))
    if (piece.part == part) bytes += piece_bytes(piece, alignment);
  return bytes;
}

PrunedFile::Which PrunedFile::which_of(Dim dim) {
  switch (dim) {
    case Dim::kQueryWidth:
    case Dim::kHeadWidth:
    case Dim::kKeyWidth:
    case Dim::kValueWidth:
      return Which::kHeads;
    case Dim::kFfn:
      return Which::kChannels;
    case Dim::kExperts:
      return Which::kExperts;
    default:
      return Which::kAll;
  }
}

Status PrunedFile::list_pieces() {
  std::vector<Piece>& outside = pieces_.emplace_back();
  const auto add = [&](const Tensor* tensor, Which rows) {
    if (auto one = piece(tensor, tensor ? tensor->name : "", nullptr, rows, Which::kAll))
      outside.push_back(*std::move(one));
  };
  add(model_.token_embedding, Which::kTokens);
  add(model_.position_embedding, Which::kAll);
  if (!model_.tied()) add(model_.output, Which::kTokens);
  add(model_.output_norm, Which::kAll);
  add(model_.output_norm_bias, Which::kAll);
  add(model_.rope_factors, Which::kAll);
  for (uint32_t l = 0; l < shape_.layers.size(); ++l)
    pieces_.push_back(layer_pieces(l, shape_.layers[l]));
  GgufHeaderSize header(metadata_);
  const auto add_up = [&](const std::vector<Piece>& pieces) {
    uint64_t bytes = 0;
    for (const Piece& piece : pieces) {
      header.add(piece.name, piece.shape.size());
      bytes += piece_bytes(piece, header.alignment());
    }
    return bytes;
  };
  const uint64_t outside_bytes = add_up(pieces_.front());
  layer_bytes_ = 0;
  for (size_t i = 1; i < pieces_.size(); ++i) layer_bytes_ += add_up(pieces_[i]);
  bytes_ = header.bytes() + outside_bytes + layer_bytes_;
  return {};
}

uint64_t PrunedFile::parameters() const {
  uint64_t sum = 0;
  for (const auto& pieces : pieces_)
    for (const Piece& piece : pieces) {
      uint64_t count = 1;
      for (const uint64_t side : piece.shape) count *= side;
      sum += count;
    }
  return sum;
}

Status PrunedFile::begin(OutputFile& out) {
  writer_ = std::make_unique<GgufWriter>(out, metadata_);
  for (const auto& pieces : pieces_)
    for (const Piece& piece : pieces) TRY(writer_->add(piece.name, piece.type, piece.shape));
  TRY(out.reserve(writer_->file_bytes()));
  return writer_->begin();
}

Status PrunedFile::write_outside(TensorReader& reader, ThreadTeam& team) {
  for (const Piece& piece : pieces_[written_]) TRY(write_piece(piece, nullptr, reader, team));
  ++written_;
  return {};
}

Status PrunedFile::write_layer(const KeptLayer& kept, TensorReader& reader, ThreadTeam& team) {
  for (const Piece& piece : pieces_[written_]) TRY(write_piece(piece, &kept, reader, team));
  ++written_;
  return {};
}

std::string PrunedFile::architecture() const {
  return std::string(metadata_.string_at("general.architecture").value_or(""));
}

Status PrunedFile::finish() { return writer_->finish(); }

// Rows or columns of the source that stay, in the order of the file. `whole`: as many as there are.
std::vector<uint64_t> PrunedFile::indices(const Piece& piece, Which which, uint64_t whole,
                                          const KeptLayer* kept) const {
  std::vector<uint64_t> all;
  if (which == Which::kTokens && !shape_.tokens.empty())
    return {shape_.tokens.begin(), shape_.tokens.end()};
  if (which == Which::kChannels) return {kept->channels.begin(), kept->channels.end()};
  if (which == Which::kAll || which == Which::kTokens) {
    all.resize(whole);
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  if (which == Which::kExperts) {
    const uint64_t each = whole / model_.hyper.n_experts;
    for (const uint32_t expert : kept->experts)
      for (uint64_t i = 0; i < each; ++i) all.push_back(expert * each + i);
    return all;
  }
  const uint64_t group = whole / model_.hyper.widths(kept->layer).n_kv_heads;
  const LayerWeights& w = model_.layers[kept->layer];
  const bool turned = pairs_halves_ && (piece.from == w.q || piece.from == w.k ||
                                        piece.from == w.q_bias || piece.from == w.k_bias);
  const uint64_t dim = model_.hyper.key_dim;
  for (const uint32_t head : kept->kv_heads)
    for (uint64_t i = 0; i < group; ++i)
      all.push_back(head * group + (turned ? i / dim * dim + half_of_pair(i % dim, dim) : i));
  return all;
}

Status PrunedFile::write_piece(const Piece& piece, const KeptLayer* kept, TensorReader& reader,
                               ThreadTeam& team) {
  const bool vector = piece.from->n_dims < 2;
  const auto columns = indices(piece, piece.columns, piece.from->columns(), kept);
  const auto rows =
      vector ? std::vector<uint64_t>{0} : indices(piece, piece.rows, piece.from->rows(), kept);
  std::span<const float> values;
  if (kept && kept->values.contains(piece.from)) values = kept->values.at(piece.from);
  const bool copied = values.empty() && piece.columns == Which::kAll;
  for (size_t i = 0, n = 0; i < rows.size(); i += n) {
    if (interrupted()) return Status::interrupted();
    const uint64_t most = copied ? reader.at_once(*piece.from) : kRowsAtOnce;
    for (n = 1; i + n < rows.size() && n < most && rows[i + n] == rows[i] + n;) ++n;
    if (!values.empty()) {
      TRY(write_rows(piece, columns, n, team, [&](uint64_t row, float* to) {
        std::copy_n(values.data() + (rows[i] + row) * piece.from->columns(), piece.from->columns(),
                    to);
      }));
      continue;
    }
    ASSIGN_OR_RETURN(const Tensor source, reader.rows(*piece.from, rows[i], n));
    if (copied)
      TRY(writer_->write(source.data));
    else
      TRY(write_rows(piece, columns, n, team,
                     [&](uint64_t row, float* to) { decode_row(source, row, to); }));
  }
  return {};
}

// n rows, encoded: values_of(row, to) gives all columns of the source's.
template <class ValuesOf>
Status PrunedFile::write_rows(const Piece& piece, std::span<const uint64_t> columns, uint64_t n,
                              ThreadTeam& team, const ValuesOf& values_of) {
  const Codec& codec = *find_codec(piece.type);
  const uint64_t row_bytes = codec.row_bytes(columns.size());
  std::vector<uint8_t> encoded(n * row_bytes);
  team.parallel_for(static_cast<int64_t>(n), 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> whole(piece.from->columns()), row(columns.size());
    for (auto r = static_cast<uint64_t>(begin); r < static_cast<uint64_t>(end); ++r) {
      values_of(r, whole.data());
      for (size_t c = 0; c < columns.size(); ++c) row[c] = whole[columns[c]];
      codec.encode(row.data(), nullptr, encoded.data() + r * row_bytes, row.size());
    }
  });
  return writer_->write(encoded);
}

}  // namespace enxuto
