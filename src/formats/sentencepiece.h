// tokenizer.model: the vocabulary of a SentencePiece tokenizer, a protocol buffer of untrusted
// bytes. Source: sentencepiece_model.proto (ModelProto.pieces = 1; piece = 1, score = 2, type = 3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "platform/file.h"

namespace enxuto {

struct Piece {
  std::string text;
  float score = 0;
  int32_t type = 1;  // normal 1, unknown 2, control 3, user-defined 4, unused 5, byte 6
};

Result<std::vector<Piece>> parse_sentencepiece(ByteView bytes);
Result<std::vector<Piece>> read_sentencepiece(const std::string& path);

}  // namespace enxuto
