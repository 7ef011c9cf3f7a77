#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "formats/gguf.h"

namespace enxuto {

GgufHeaderSize::GgufHeaderSize(const Metadata& metadata)
    : bytes_(4 + 4 + 8 + 8), alignment_(kGgufAlignment) {
  const auto told = metadata.unsigned_at("general.alignment");
  if (told && valid_alignment(*told)) alignment_ = static_cast<uint32_t>(*told);
  for (const auto& [key, value] : metadata.entries()) {
    bytes_ += 8 + key.size() + 4 + value.payload.size();
    if (value.type == ValueType::String) bytes_ += 8;
    if (value.type == ValueType::Array) bytes_ += 4 + 8;
  }
}

void GgufHeaderSize::add(const std::string& name, uint64_t n_dims) {
  bytes_ += 8 + name.size() + 4 + 8 * n_dims + 4 + 8;
}

uint64_t GgufHeaderSize::bytes() const { return align_up(bytes_, alignment_); }

GgufWriter::GgufWriter(OutputFile& out, const Metadata& metadata)
    : out_(out), metadata_(metadata), alignment_(GgufHeaderSize(metadata).alignment()) {}

Status GgufWriter::add(const std::string& name, Type type, std::span<const uint64_t> shape) {
  if (std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; }))
    return Status::failed(fmt::format("tensor {} was announced twice", name));
  const Codec* codec = find_codec(type);
  OptionalSize count = 1;
  for (uint64_t dim : shape) count = checked_mul(count, dim);
  if (!codec || shape.empty() || shape.size() > 4 || !count || *count == 0 ||
      shape[0] % codec->block_values != 0)
    return Status::failed(fmt::format("tensor {} cannot be written in this format", name));
  const OptionalSize bytes = checked_mul(*count / codec->block_values, codec->block_bytes);
  if (!bytes) return Status::failed(fmt::format("tensor {} is too large", name));
  entries_.push_back({name, type, {shape.begin(), shape.end()}, *bytes});
  return {};
}

uint64_t GgufWriter::header_bytes() const {
  GgufHeaderSize header(metadata_);
  for (const Entry& e : entries_) header.add(e.name, e.shape.size());
  return header.bytes();
}

uint64_t GgufWriter::file_bytes() const {
  uint64_t bytes = header_bytes();
  for (const Entry& e : entries_) bytes += align_up(e.bytes, alignment_);
  return bytes;
}

namespace {

class Header {
 public:
  template <class T>
  void number(T value) {
    raw({reinterpret_cast<const uint8_t*>(&value), sizeof value});
  }
  void raw(ByteView view) {
    const size_t at = bytes_.size();
    bytes_.resize(at + view.size());
    if (!view.empty()) std::memcpy(bytes_.data() + at, view.data(), view.size());
  }
  void text(std::string_view value) {
    number<uint64_t>(value.size());
    raw({reinterpret_cast<const uint8_t*>(value.data()), value.size()});
  }
  std::vector<uint8_t>& bytes() { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace

Status GgufWriter::begin() {
  Header header;
  header.number(kGgufMagic);
  header.number<uint32_t>(3);
  header.number<uint64_t>(entries_.size());
  header.number<uint64_t>(metadata_.entries().size());
  for (const auto& [key, value] : metadata_.entries()) {
    header.text(key);
    header.number(static_cast<uint32_t>(value.type));
    if (value.type == ValueType::String) header.number<uint64_t>(value.payload.size());
    if (value.type == ValueType::Array) {
      header.number(static_cast<uint32_t>(value.element));
      header.number<uint64_t>(value.count);
    }
    header.raw(value.payload);
  }
  uint64_t offset = 0;
  for (const Entry& e : entries_) {
    header.text(e.name);
    header.number(static_cast<uint32_t>(e.shape.size()));
    for (uint64_t dim : e.shape) header.number(dim);
    header.number(static_cast<uint32_t>(e.type));
    header.number(offset);
    offset += align_up(e.bytes, alignment_);
  }
  header.bytes().resize(align_up(header.bytes().size(), alignment_));
  return out_.write(header.bytes());
}

Status GgufWriter::close_tensor() {
  const std::vector<uint8_t> padding(align_up(written_, alignment_) - written_);
  ++current_;
  written_ = 0;
  return out_.write(padding);
}

Status GgufWriter::write(ByteView bytes) {
  while (!bytes.empty()) {
    if (current_ == entries_.size()) return Status::failed("more tensor data than was announced");
    const uint64_t take = std::min<uint64_t>(bytes.size(), entries_[current_].bytes - written_);
    TRY(out_.write(bytes.first(take)));
    written_ += take;
    bytes = bytes.subspan(take);
    if (written_ == entries_[current_].bytes) TRY(close_tensor());
  }
  return {};
}

Status GgufWriter::finish() {
  if (current_ != entries_.size())
    return Status::failed(fmt::format("tensor {} was not written whole", entries_[current_].name));
  return {};
}

}  // namespace enxuto
