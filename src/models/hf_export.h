// Writes a model as a Hugging Face folder that transformers loads: the way back of hugging_face.h.
// Tensor by tensor and some rows at a time, whatever their format; nothing is whole in memory but
// the tokenizer's tables.
//
// Matrices are written in one type, vectors in F32: whoever loads them rounds them as config.json
// says. Rows of a GGUF llama's q and k go back to their places, a gemma's norms lose the one that
// GGUF adds, a gpt2's layers lie transposed. Safetensors are split where a file would be larger
// than kShardBytes.
#pragma once

#include <span>
#include <string>

#include "base/progress.h"
#include "models/model.h"
#include "platform/threads.h"

namespace enxuto {

inline constexpr uint64_t kShardBytes = 5'000'000'000;  // as Hugging Face splits
// Rows that are decoded and encoded at once, shared among threads.
inline constexpr uint64_t kExportedRows = 64;
// Of a matrix that is transposed; whole blocks of any format.
inline constexpr uint64_t kExportedColumns = 256;
// Of a mapped source, looked at before its pages are given back; half of it as it is counted, since
// reading ahead brings more than was asked for.
inline constexpr uint64_t kExportWindow = 16 << 20;

// What it is written in where nobody asked: as it is, BF16 where numbers stand in blocks.
Type export_type(const Model& model);
// That export_model needs to work in, beside the tokenizer's tables.
uint64_t export_working_bytes(const Model& model);

struct ExportReport {
  uint64_t bytes = 0;  // of the safetensors
  uint64_t shards = 0, tensors = 0;
};

// type: F32, F16 or BF16. folder: must not exist; it appears when it is whole. kBadInput where
// transformers knows no such model; kFailed where a number is too large for F16.
Result<ExportReport> export_model(const Model& model, Type type, const std::string& folder,
                                  uint64_t shard_bytes, std::span<uint8_t> working,
                                  ThreadTeam& team, const Progress& progress);

}  // namespace enxuto
