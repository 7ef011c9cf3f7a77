#include "formats/safetensors_writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <vector>

namespace enxuto {
namespace {

const char* dtype_of(Type type) {
  return type == Type::BF16 ? "BF16" : type == Type::F16 ? "F16" : "F32";
}

}  // namespace

// Names are those of architectures.cpp: nothing in them has to be escaped.
void SafetensorsWriter::add(const std::string& name, Type type, std::span<const uint64_t> shape) {
  const std::vector<uint64_t> slowest_first(shape.rbegin(), shape.rend());
  uint64_t bytes = find_codec(type)->row_bytes(shape[0]);
  for (const uint64_t length : shape.subspan(1)) bytes *= length;
  entries_ +=
      fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", name,
                  dtype_of(type), fmt::join(slowest_first, ","), data_bytes_, data_bytes_ + bytes);
  data_bytes_ += bytes;
}

// Its length, which is the data's place, is a multiple of 8.
std::string SafetensorsWriter::header() const {
  std::string text = R"({"__metadata__":{"format":"pt"})" + entries_ + "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

uint64_t SafetensorsWriter::file_bytes() const { return 8 + header().size() + data_bytes_; }

Status SafetensorsWriter::begin() {
  const std::string text = header();
  uint8_t size[8];
  const uint64_t bytes = text.size();
  std::memcpy(size, &bytes, sizeof size);
  TRY(out_.write(size));
  return out_.write(text);
}

Status SafetensorsWriter::write(ByteView bytes) {
  written_ += bytes.size();
  return out_.write(bytes);
}

Status SafetensorsWriter::finish() {
  if (written_ == data_bytes_) return {};
  return Status::failed(
      fmt::format("{} bytes were written where {} were announced", written_, data_bytes_));
}

}  // namespace enxuto
