#include "formats/sentencepiece.h"

#include <cstring>
#include <optional>

namespace enxuto {
namespace {

Status broken() {
  return Status::bad_input("tokenizer.model is not a sound SentencePiece file",
                           "download the file again");
}

struct Field {
  uint64_t number, wire;  // wire: 0 varint, 1 eight bytes, 2 counted bytes, 5 four bytes
  uint64_t value = 0;     // of a varint
  ByteView bytes;         // of the others
};

// The next field of a message; nothing where it does not fit into `rest`.
class Message {
 public:
  explicit Message(ByteView rest) : rest_(rest) {}
  bool done() const { return rest_.empty(); }

  std::optional<Field> next() {
    const auto tag = varint();
    if (!tag) return std::nullopt;
    Field field{*tag >> 3, *tag & 7, 0, {}};
    if (field.wire == 0) {
      const auto value = varint();
      if (!value) return std::nullopt;
      field.value = *value;
      return field;
    }
    std::optional<uint64_t> size;
    if (field.wire == 1) size = 8;
    if (field.wire == 5) size = 4;
    if (field.wire == 2) size = varint();
    if (!size || *size > rest_.size()) return std::nullopt;
    field.bytes = rest_.first(*size);
    rest_ = rest_.subspan(*size);
    return field;
  }

 private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const uint8_t byte = rest_[0];
      rest_ = rest_.subspan(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  ByteView rest_;
};

bool read_piece(ByteView bytes, Piece& piece) {
  Message message(bytes);
  while (!message.done()) {
    const auto field = message.next();
    if (!field) return false;
    if (field->number == 1 && field->wire == 2)
      piece.text.assign(reinterpret_cast<const char*>(field->bytes.data()), field->bytes.size());
    if (field->number == 2 && field->wire == 5)
      std::memcpy(&piece.score, field->bytes.data(), sizeof piece.score);
    if (field->number == 3 && field->wire == 0) {
      if (field->value < 1 || field->value > 6) return false;
      piece.type = static_cast<int32_t>(field->value);
    }
  }
  return true;
}

}  // namespace

Result<std::vector<Piece>> parse_sentencepiece(ByteView bytes) {
  std::vector<Piece> pieces;
  Message message(bytes);
  while (!message.done()) {
    const auto field = message.next();
    if (!field) return broken();
    if (field->number != 1 || field->wire != 2) continue;
    if (!read_piece(field->bytes, pieces.emplace_back())) return broken();
  }
  if (pieces.empty()) return broken();
  return pieces;
}

Result<std::vector<Piece>> read_sentencepiece(const std::string& path) {
  ASSIGN_OR_RETURN(const auto mapped, MappedFile::open(path));
  return parse_sentencepiece(mapped->bytes());
}

}  // namespace enxuto
