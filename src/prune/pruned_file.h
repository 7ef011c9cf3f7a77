// The GGUF file of a pruned model, written in one stream: what lies outside the layers, then layer
// after layer as it is settled. Where all layers are as wide as each other it is of the source's
// architecture, else `deci`, which stock llama.cpp runs too.
//
// Rows that stay are copied as they are stored, in whatever format; of a matrix whose columns or
// values change each row is encoded again, in its own format where that divides the new width and
// no other is asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compress/tensor_reader.h"
#include "formats/gguf.h"
#include "models/architectures.h"
#include "platform/threads.h"
#include "prune/kept.h"
#include "prune/part_removal.h"

namespace enxuto {

class PrunedFile {
 public:
  // kUsage where the model cannot have this shape (see fits_architecture).
  static Result<PrunedFile> plan(const Model& model, ModelShape shape, Formats formats = {});
  uint64_t bytes() const { return bytes_; }
  uint64_t layer_bytes() const { return layer_bytes_; }  // of all layers
  uint64_t parameters() const;
  std::string architecture() const;
  // Of one layer's attention or FFN in a file.
  static uint64_t part_bytes(const Model& model, const LayerShape& layer, Part part);

  Status begin(OutputFile& out);
  Status write_outside(TensorReader& reader, ThreadTeam& team);
  // In the order of the shape, as many heads and channels as it says.
  Status write_layer(const KeptLayer& kept, TensorReader& reader, ThreadTeam& team);
  Status finish();

 private:
  enum class Which { kAll, kHeads, kChannels, kExperts, kTokens };
  struct Piece {
    const Tensor* from;
    std::string name;
    Type type;
    std::vector<uint64_t> shape;
    Which rows, columns;
    std::optional<Part> part;  // of a layer
  };
  PrunedFile(const Model& model, ModelShape shape, Formats formats)
      : model_(model), shape_(std::move(shape)), formats_(std::move(formats)) {}
  Status list_pieces();
  std::optional<Piece> piece(const Tensor* tensor, std::string name, const LayerShape* layer,
                             Which rows, Which columns) const;
  std::vector<Piece> layer_pieces(uint32_t place, const LayerShape& layer) const;
  uint64_t length(Which which, uint64_t whole, const LayerShape* layer) const;
  Status set_metadata();
  static Which which_of(Dim dim);
  std::vector<uint64_t> indices(const Piece& piece, Which which, uint64_t whole,
                                const KeptLayer* kept) const;
  template <class ValuesOf>
  Status write_rows(const Piece& piece, std::span<const uint64_t> columns, uint64_t n,
                    ThreadTeam& team, const ValuesOf& values_of);
  Status write_piece(const Piece& piece, const KeptLayer* kept, TensorReader& reader,
                     ThreadTeam& team);

  const Model& model_;
  ModelShape shape_;
  Formats formats_;
  bool even_ = true;
  bool pairs_halves_ = false;  // q and k of halves become q and k of pairs
  Metadata metadata_;
  std::vector<std::vector<Piece>> pieces_;  // outside the layers, then of each layer
  uint64_t bytes_ = 0, layer_bytes_ = 0;
  size_t written_ = 0;  // of pieces_
  std::unique_ptr<GgufWriter> writer_;
};

// Why a model cannot have layers of different widths in llama.cpp; OK where it can.
Status can_be_uneven(const Model& model);

}  // namespace enxuto
