// A safetensors file, or a SentencePiece vocabulary, of any bytes: read and walked through.
#include <cstdint>
#include <cstdlib>

#include "formats/safetensors.h"
#include "formats/sentencepiece.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  uint64_t sum = 0;
  if (const auto file = parse_safetensors({data, size}); file.ok()) {
    uint64_t bytes = 0;
    for (const Tensor& t : file->tensors) {
      bytes += t.bytes();
      for (uint64_t r = 0; r < t.rows(); ++r)
        for (uint8_t byte : t.row(r)) sum += byte;
    }
    if (bytes + 8 > size) std::abort();  // tensors that overlap
  }
  if (const auto pieces = parse_sentencepiece({data, size}); pieces.ok())
    for (const Piece& piece : *pieces) sum += piece.text.size();
  volatile uint64_t keep = sum;  // so that the walk is not optimized away
  (void)keep;
  return 0;
}
