// Importance matrices in llama.cpp's two forms: for each tensor, how large the columns of its input
// were on a text. Untrusted bytes in, checked numbers out; and a writer of the present form.
// Source: llama.cpp's tools/imatrix.
//
// GGUF: general.type "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size; F32
// tensors
//       NAME.in_sum2 (columns, matrices): sums of squares; NAME.counts (1, matrices): of how many
// .dat:  n i32 | n × (length i32, NAME, count i32, n_values i32, sums f32[]) |
//        maybe: chunks i32 | maybe: length i32, dataset
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "platform/file.h"

namespace enxuto {

struct ImatrixEntry {
  uint64_t columns = 0;
  uint64_t matrices = 1;  // more where experts have one each; the old form does not tell
  ByteView sums;          // (matrices, columns) f32, at any address
  double count = 0;       // of the first matrix

  // Of an entry with one matrix: (columns), finite and none negative, not all zero. kBadInput where
  // the file has other numbers. In the old form right up to a factor.
  Status mean_squares(std::span<float> mean) const;
};

struct Imatrix {
  std::map<std::string, ImatrixEntry, std::less<>> entries;  // by the tensor's name
  std::shared_ptr<const MappedFile> file;                    // keeps the views alive

  const ImatrixEntry* find(std::string_view name) const;
};

// Either form. Errors: kBadInput with the entry and the reason.
Result<Imatrix> open_imatrix(const std::string& path);
// The same over bytes in memory, which must outlive the result.
Result<Imatrix> parse_imatrix(ByteView bytes);

struct ImatrixText {
  std::string name;
  uint32_t chunks = 0, chunk_tokens = 0;
  uint64_t tokens = 0;
};
// (columns) mean squares of a tensor's input, which are those of all its experts' where it has
// some.
struct NamedMeans {
  std::string name;
  std::span<const float> means;
  uint64_t matrices = 1;
};

// In the GGUF form, as llama-quantize takes it. Does not commit.
Status write_imatrix(OutputFile& out, const ImatrixText& text,
                     const std::vector<NamedMeans>& tensors);

}  // namespace enxuto
