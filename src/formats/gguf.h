// GGUF v2 and v3, also split over files: untrusted bytes in, validated views out; and a writer.
// Source: the GGUF specification (ggml/docs/gguf.md).
//
// file: "GGUF" | version u32 | n_tensors u64 | n_kv u64 | n_kv × (key, type u32, value) |
//       n_tensors × (name, n_dims u32, dims u64[], type u32, offset u64) | padding | tensor data
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "codecs/codec.h"
#include "platform/file.h"

namespace enxuto {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr uint32_t kGgufAlignment = 32;      // where general.alignment does not say
constexpr bool valid_alignment(uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= 8 && bytes <= (1 << 20);
}

// A weight where it lies. shape[0] is the contiguous dimension (GGUF order): a linear layer's is
// {inputs, outputs}.
struct Tensor {
  std::string name;
  Type type = Type::F32;
  uint32_t n_dims = 0;
  uint64_t shape[4] = {1, 1, 1, 1};
  ByteView data;  // shape[1]*shape[2]*shape[3] rows, each codec.row_bytes(shape[0]); empty where
                  // only the header is known

  uint64_t columns() const { return shape[0]; }
  uint64_t rows() const { return shape[1] * shape[2] * shape[3]; }
  uint64_t count() const { return columns() * rows(); }
  const Codec& codec() const { return *find_codec(type); }
  uint64_t row_bytes() const { return codec().row_bytes(columns()); }
  uint64_t bytes() const { return row_bytes() * rows(); }
  ByteView row(uint64_t i) const { return data.subspan(i * row_bytes(), row_bytes()); }
};

enum class ValueType : uint32_t {
  U8,
  I8,
  U16,
  I16,
  U32,
  I32,
  F32,
  Bool,
  String,
  Array,
  U64,
  I64,
  F64
};

// One metadata value: its type, and its payload exactly as the file has it (validated), so that it
// can be written again as it was.
struct MetaValue {
  ValueType type;
  ValueType element = ValueType::U8;  // of an array (arrays of arrays are refused)
  uint64_t count = 1;                 // elements of an array
  ByteView payload;  // an array's elements without its header; a string without its length

  std::optional<uint64_t> as_unsigned() const;  // any integer or bool type that is not negative
  std::optional<double> as_number() const;      // any number
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  // Arrays, converted; nothing where it is no array of that kind.
  std::optional<std::vector<std::string_view>> as_strings() const;
  std::optional<std::vector<double>> as_numbers() const;
};

// Keys in file order. Owns the bytes of what was added; views the mapped file for the rest (keep
// that alive).
class Metadata {
 public:
  const MetaValue* find(std::string_view key) const;
  const std::vector<std::pair<std::string, MetaValue>>& entries() const { return entries_; }

  std::optional<uint64_t> unsigned_at(std::string_view key) const;
  std::optional<double> number_at(std::string_view key) const;
  std::optional<std::string_view> string_at(std::string_view key) const;
  std::optional<bool> bool_at(std::string_view key) const;

  void append_view(std::string key, MetaValue value);  // the key is new
  // Adds, or replaces in place.
  void set_view(std::string key, MetaValue value);
  void set_u32(std::string key, uint32_t value);
  void set_f32(std::string key, float value);
  void set_bool(std::string key, bool value);
  void set_string(std::string key, std::string_view value);
  void set_strings(std::string key, const std::vector<std::string_view>& values);
  void set_f32s(std::string key, std::span<const float> values);
  void set_i32s(std::string key, std::span<const int32_t> values);
  void erase(std::string_view key);
  // "llama.block_count" becomes "deci.block_count".
  void rename_prefix(std::string_view from, std::string_view to);

 private:
  MetaValue own(ValueType type, ByteView payload);
  std::vector<std::pair<std::string, MetaValue>> entries_;
  std::vector<std::shared_ptr<const std::vector<uint8_t>>> owned_;
};

struct GgufFile {
  uint32_t version = 3;
  uint32_t alignment = kGgufAlignment;
  Metadata metadata;
  std::vector<Tensor> tensors;  // file order (of the first file, then the second …)
  std::vector<std::shared_ptr<const MappedFile>> files;  // keep the views alive
  uint64_t file_bytes = 0;                               // of all files

  const Tensor* find(std::string_view name) const;
};

// Opens and validates; NAME-00001-of-00003.gguf opens its siblings. Errors: kBadInput with the
// place and the reason.
Result<GgufFile> open_gguf(const std::string& path);
// The same over bytes in memory (fuzzing, tests); `bytes` must outlive the result.
Result<GgufFile> parse_gguf(ByteView bytes);

// The exact size of a header: all that lies before the tensors' data, as the writer writes it.
class GgufHeaderSize {
 public:
  explicit GgufHeaderSize(const Metadata& metadata);
  void add(const std::string& name, uint64_t n_dims);
  uint64_t bytes() const;
  uint32_t alignment() const { return alignment_; }  // of the header, and of each tensor

 private:
  uint64_t bytes_;
  uint32_t alignment_;
};

// Writes a model: announce everything, begin, then the tensors' bytes in the announced order, any
// piece size.
//   GgufWriter w(out, metadata); w.add(name, type, shape); …; w.begin(); w.write(bytes)…;
//   w.finish(); out.commit();
class GgufWriter {
 public:
  // Aligns tensors as the metadata says (general.alignment), else to 32 bytes.
  GgufWriter(OutputFile& out, const Metadata& metadata);
  Status add(const std::string& name, Type type, std::span<const uint64_t> shape);
  // The exact size of the file that will be written, known before a byte is.
  uint64_t file_bytes() const;
  Status begin();
  Status write(ByteView bytes);  // crosses tensor boundaries by itself, padding included
  Status finish();               // fails where bytes are missing

 private:
  struct Entry {
    std::string name;
    Type type;
    std::vector<uint64_t> shape;
    uint64_t bytes;
  };
  uint64_t header_bytes() const;
  Status close_tensor();
  OutputFile& out_;
  const Metadata& metadata_;
  uint32_t alignment_;
  std::vector<Entry> entries_;
  size_t current_ = 0;
  uint64_t written_ = 0;  // of the current tensor
};

}  // namespace enxuto
