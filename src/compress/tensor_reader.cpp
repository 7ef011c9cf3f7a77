#include "compress/tensor_reader.h"

#include <cassert>

namespace enxuto {

Result<std::unique_ptr<TensorReader>> TensorReader::open(const Model& model,
                                                         const CompressionPlan& plan,
                                                         Arena& arena) {
  std::unique_ptr<TensorReader> reader(new TensorReader(model));
  const MemoryPart* part = plan.stages.find(owner::kReadBuffer);
  if (!part) return reader;
  ASSIGN_OR_RETURN(reader->buffer_, arena.take<uint8_t>(owner::kReadBuffer, part->bytes));
  for (const auto& file : model.files) {
    ASSIGN_OR_RETURN(auto direct, DirectFile::open(file->path()));
    reader->files_.push_back(std::move(direct));
  }
  return reader;
}

Result<Tensor> TensorReader::rows(const Tensor& tensor, uint64_t first, uint64_t n) {
  Tensor piece = tensor;
  piece.shape[1] = n, piece.shape[2] = piece.shape[3] = 1;
  const WeightPiece place = piece_of(model_, tensor, first, n);
  if (files_.empty() || place.bytes == 0) {  // converted norms lie in the model itself
    piece.data = tensor.data.subspan(first * tensor.row_bytes(), n * tensor.row_bytes());
    return piece;
  }
  assert(place.bytes <= buffer_.size());
  TRY(files_[place.file]->read(place.begin, buffer_.data(), place.bytes,
                               place.skip + n * tensor.row_bytes()));
  piece.data = ByteView(buffer_).subspan(place.skip, n * tensor.row_bytes());
  return piece;
}

}  // namespace enxuto
