#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/checked.h"
#include "formats/untrusted.h"

namespace enxuto {
namespace {

constexpr const char* kTodo = "download the file again, or convert the model anew";

uint64_t size_of(ValueType type) {
  switch (type) {
    case ValueType::U8:
    case ValueType::I8:
    case ValueType::Bool:
      return 1;
    case ValueType::U16:
    case ValueType::I16:
      return 2;
    case ValueType::U32:
    case ValueType::I32:
    case ValueType::F32:
      return 4;
    case ValueType::U64:
    case ValueType::I64:
    case ValueType::F64:
      return 8;
    case ValueType::String:
    case ValueType::Array:
      return 0;
  }
  return 0;
}

bool known(uint32_t type) { return type <= static_cast<uint32_t>(ValueType::F64); }

Status broken(std::string what) { return Status::bad_input(std::move(what), kTodo); }

Status read_array(Cursor& in, std::string_view key, MetaValue& value) {
  uint32_t element;
  if (!in.number(element) || !in.number(value.count))
    return broken(fmt::format("key {}: the file ends early", shown(key)));
  if (!known(element) || element == static_cast<uint32_t>(ValueType::Array))
    return broken(fmt::format("key {}: arrays of type {} are not known", shown(key), element));
  value.element = static_cast<ValueType>(element);
  Cursor start = in;
  if (value.element != ValueType::String) {
    const OptionalSize size = checked_mul(value.count, size_of(value.element));
    if (!size || !in.view(*size, value.payload))
      return broken(fmt::format("key {}: an array of {} values reaches past the end of the file",
                                shown(key), value.count));
    return {};
  }
  if (value.count > in.left() / 8)
    return broken(fmt::format("key {}: an array of {} strings reaches past the end of the file",
                              shown(key), value.count));
  for (uint64_t i = 0; i < value.count; ++i) {
    std::string_view text;
    if (!in.text(text))
      return broken(
          fmt::format("key {}: string {} reaches past the end of the file", shown(key), i));
  }
  const uint64_t size = in.position() - start.position();
  start.view(size, value.payload);
  return {};
}

Status read_value(Cursor& in, std::string_view key, MetaValue& value) {
  uint32_t type;
  if (!in.number(type)) return broken(fmt::format("key {}: the file ends early", shown(key)));
  if (!known(type)) return broken(fmt::format("key {}: unknown value type {}", shown(key), type));
  value.type = static_cast<ValueType>(type);
  if (value.type == ValueType::Array) return read_array(in, key, value);
  if (value.type == ValueType::String) {
    std::string_view text;
    if (!in.text(text))
      return broken(fmt::format("key {}: its text reaches past the end of the file", shown(key)));
    value.payload = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    return {};
  }
  if (!in.view(size_of(value.type), value.payload))
    return broken(fmt::format("key {}: the file ends early", shown(key)));
  return {};
}

Status read_metadata(Cursor& in, uint64_t n, Metadata& metadata) {
  // A key takes 8 bytes of length, 4 of type and 1 of value at least.
  if (n > in.left() / 13)
    return broken(fmt::format("the header promises {} keys, more than the file can hold", n));
  std::unordered_set<std::string_view> seen;
  for (uint64_t i = 0; i < n; ++i) {
    std::string_view key;
    if (!in.text(key)) return broken(fmt::format("key {} reaches past the end of the file", i));
    if (key.empty() || key.size() > 65535)
      return broken(fmt::format("key {} has a name of {} bytes", i, key.size()));
    if (!seen.insert(key).second) return broken(fmt::format("key {} appears twice", shown(key)));
    MetaValue value{};
    TRY(read_value(in, key, value));
    metadata.append_view(std::string(key), value);
  }
  return {};
}

struct TensorHeader {
  Tensor tensor;
  uint64_t offset;
};

Status read_tensor_header(Cursor& in, uint64_t i, TensorHeader& out) {
  Tensor& t = out.tensor;
  std::string_view name;
  uint32_t type;
  if (!in.text(name) || !in.number(t.n_dims))
    return broken(fmt::format("tensor {}: the file ends early", i));
  if (name.empty() || name.size() > kMostNameBytes)
    return broken(fmt::format("tensor {} has a name of {} bytes", i, name.size()));
  t.name = name;
  const std::string label = "tensor " + shown(name);
  if (t.n_dims < 1 || t.n_dims > 4)
    return broken(fmt::format("{}: {} dimensions (1 to 4 are known)", label, t.n_dims));
  OptionalSize count = 1;
  for (uint32_t d = 0; d < t.n_dims; ++d) {
    if (!in.number(t.shape[d])) return broken(fmt::format("{}: the file ends early", label));
    if (t.shape[d] == 0) return broken(fmt::format("{}: dimension {} is zero", label, d));
    count = checked_mul(count, t.shape[d]);
  }
  // Every byte count below is at most 8 bytes a value.
  if (!count || *count > (uint64_t{1} << 59))
    return broken(fmt::format("{}: its dimensions overflow", label));
  if (!in.number(type) || !in.number(out.offset))
    return broken(fmt::format("{}: the file ends early", label));
  t.type = static_cast<Type>(type);
  const Codec* codec = find_codec(t.type);
  if (!codec)
    return Status::bad_input(fmt::format("{}: unknown number format {}", label, type),
                             "a newer enxuto may know it");
  if (t.columns() % codec->block_values != 0)
    return broken(fmt::format("{}: rows of {} values do not divide into blocks of {} ({})", label,
                              t.columns(), codec->block_values, codec->name));
  return {};
}

Status place_tensors(ByteView file, uint64_t data_begin, std::vector<TensorHeader>& headers,
                     uint32_t alignment, std::vector<Tensor>& tensors) {
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  std::unordered_set<std::string_view> names;
  for (TensorHeader& h : headers) {
    const std::string label = "tensor " + shown(h.tensor.name);
    if (!names.insert(h.tensor.name).second) return broken(fmt::format("{} appears twice", label));
    if (h.offset % alignment != 0)
      return broken(fmt::format("{}: offset {} is not aligned to {}", label, h.offset, alignment));
    const OptionalSize begin = checked_add(data_begin, h.offset),
                       end = checked_add(begin, h.tensor.bytes());
    if (!end || *end > file.size())
      return broken(fmt::format(
          "{}: its data reaches past the end of the file (the file is cut short?)", label));
    h.tensor.data = file.subspan(*begin, h.tensor.bytes());
    spans.push_back({*begin, *end});
  }
  std::sort(spans.begin(), spans.end());
  for (size_t i = 1; i < spans.size(); ++i)
    if (spans[i].first < spans[i - 1].second)
      return broken(fmt::format("two tensors overlap at byte {}", spans[i].first));
  for (TensorHeader& h : headers) tensors.push_back(std::move(h.tensor));
  return {};
}

Status parse_into(ByteView bytes, GgufFile& file) {
  Cursor in(bytes);
  uint32_t magic;
  uint64_t n_tensors, n_keys;
  if (!in.number(magic) || magic != kGgufMagic)
    return Status::bad_input("not a GGUF file",
                             "give a .gguf file, or a Hugging Face folder with config.json");
  if (!in.number(file.version)) return broken("the file ends early");
  if (file.version == __builtin_bswap32(2) || file.version == __builtin_bswap32(3))
    return Status::bad_input("a big-endian GGUF file", "convert it on a little-endian machine");
  if (file.version != 2 && file.version != 3)
    return Status::bad_input(fmt::format("GGUF version {} (2 and 3 are known)", file.version),
                             kTodo);
  if (!in.number(n_tensors) || !in.number(n_keys)) return broken("the file ends early");
  TRY(read_metadata(in, n_keys, file.metadata));
  if (const MetaValue* alignment = file.metadata.find("general.alignment")) {
    const auto value = alignment->as_unsigned();
    if (!value || !valid_alignment(*value))
      return broken("general.alignment is not a power of two from 8 to 1 MiB");
    file.alignment = static_cast<uint32_t>(*value);
  }
  // A tensor takes 8 + 1 bytes of name, 4 of count, 8 of one dimension, 4 of type, 8 of offset at
  // least.
  if (n_tensors > in.left() / 33)
    return broken(
        fmt::format("the header promises {} tensors, more than the file can hold", n_tensors));
  std::vector<TensorHeader> headers(n_tensors);
  for (uint64_t i = 0; i < n_tensors; ++i) TRY(read_tensor_header(in, i, headers[i]));
  const uint64_t data_begin = align_up(in.position(), file.alignment);
  return place_tensors(bytes, data_begin, headers, file.alignment, file.tensors);
}

// NAME-00001-of-00003.gguf: the parts' prefix and count, or nothing.
struct SplitName {
  std::string prefix;
  uint32_t number, count;
};

std::optional<SplitName> split_name(const std::string& path) {
  constexpr std::string_view kPattern = "-00001-of-00003.gguf";
  if (path.size() < kPattern.size()) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kPattern.size());
  SplitName name{path.substr(0, path.size() - kPattern.size()), 0, 0};
  for (size_t i = 0; i < kPattern.size(); ++i) {
    const bool digit = kPattern[i] >= '0' && kPattern[i] <= '9';
    if (!digit && tail[i] != kPattern[i]) return std::nullopt;
    if (!digit) continue;
    if (tail[i] < '0' || tail[i] > '9') return std::nullopt;
    uint32_t& number = i < 7 ? name.number : name.count;
    number = number * 10 + static_cast<uint32_t>(tail[i] - '0');
  }
  return name;
}

Status append_part(GgufFile& whole, GgufFile part) {
  std::unordered_set<std::string_view> names;
  for (const Tensor& t : whole.tensors) names.insert(t.name);
  for (Tensor& t : part.tensors)
    if (names.contains(t.name))
      return broken(fmt::format("tensor {} appears in two parts", shown(t.name)));
  for (Tensor& t : part.tensors) whole.tensors.push_back(std::move(t));
  for (auto& f : part.files) whole.files.push_back(std::move(f));
  whole.file_bytes += part.file_bytes;
  return {};
}

Result<GgufFile> open_one(const std::string& path) {
  ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
  GgufFile file;
  if (Status status = parse_into(mapped->bytes(), file); !status.ok()) return status.in(path);
  file.file_bytes = mapped->bytes().size();
  file.files.push_back(std::move(mapped));
  return file;
}

Status append_siblings(GgufFile& file, const SplitName& name) {
  for (uint32_t i = 2; i <= name.count; ++i) {
    const std::string path = fmt::format("{}-{:05}-of-{:05}.gguf", name.prefix, i, name.count);
    ASSIGN_OR_RETURN(GgufFile part, open_one(path));
    if (part.metadata.unsigned_at("split.no") != i - 1 ||
        part.metadata.unsigned_at("split.count") != name.count)
      return broken(fmt::format("{} says that it is another part", path));
    TRY(append_part(file, std::move(part)).in(path));
  }
  const auto promised = file.metadata.unsigned_at("split.tensors.count");
  if (promised && *promised != file.tensors.size())
    return broken(
        fmt::format("the parts hold {} tensors instead of {}", file.tensors.size(), *promised));
  return {};
}

}  // namespace

const Tensor* GgufFile::find(std::string_view name) const {
  for (const Tensor& t : tensors)
    if (t.name == name) return &t;
  return nullptr;
}

Result<GgufFile> parse_gguf(ByteView bytes) {
  GgufFile file;
  TRY(parse_into(bytes, file));
  file.file_bytes = bytes.size();
  return file;
}

Result<GgufFile> open_gguf(const std::string& path) {
  ASSIGN_OR_RETURN(GgufFile file, open_one(path));
  const uint64_t parts = file.metadata.unsigned_at("split.count").value_or(1);
  if (parts <= 1) return file;
  const auto name = split_name(path);
  if (!name || name->count != parts)
    return broken(
        fmt::format("{} is one of {} parts, but its name does not say which", path, parts));
  if (name->number != 1)
    return Status::bad_input(fmt::format("{} is part {} of {}", path, name->number, parts),
                             "open the first part");
  TRY(append_siblings(file, *name));
  for (const char* key : {"split.no", "split.count", "split.tensors.count"})
    file.metadata.erase(key);
  return file;
}

}  // namespace enxuto
