#include "formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/checked.h"
#include "formats/json.h"
#include "formats/untrusted.h"

namespace enxuto {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr const char* kTodo = "download the file again";

Status broken(std::string what) { return Status::bad_input(std::move(what), kTodo); }

std::optional<Type> type_of(std::string_view dtype) {
  static constexpr std::pair<std::string_view, Type> kTypes[] = {
      {"F32", Type::F32}, {"F16", Type::F16}, {"BF16", Type::BF16}, {"F64", Type::F64},
      {"I8", Type::I8},   {"U8", Type::I8},   {"BOOL", Type::I8},   {"I16", Type::I16},
      {"U16", Type::I16}, {"I32", Type::I32}, {"U32", Type::I32},   {"I64", Type::I64},
      {"U64", Type::I64}};
  for (const auto& [name, type] : kTypes)
    if (name == dtype) return type;
  return std::nullopt;
}

// Slowest dimension first in the file, contiguous one first here. A scalar is a row of one.
Status read_shape(JsonElement entry, const std::string& label, Tensor& t) {
  const auto dims = json_array(entry, "shape");
  if (!dims || dims->size() > 4)
    return broken(fmt::format("{}: its shape is no list of up to 4 dimensions", label));
  t.n_dims = std::max<uint32_t>(1, static_cast<uint32_t>(dims->size()));
  uint32_t d = static_cast<uint32_t>(dims->size());
  OptionalSize count = 1;
  for (const JsonElement dim : *dims) {
    uint64_t length;
    if (dim.get(length) || length == 0)
      return broken(fmt::format("{}: its shape holds no sound length", label));
    t.shape[--d] = length;
    count = checked_mul(count, length);
  }
  if (!count || *count > (uint64_t{1} << 59))
    return broken(fmt::format("{}: its dimensions overflow", label));
  return {};
}

Status read_tensor(std::string_view name, JsonElement entry, ByteView data, Tensor& t) {
  const std::string label = "tensor " + shown(name);
  t.name = name;
  const auto dtype = json_string(entry, "dtype");
  const auto type = dtype ? type_of(*dtype) : std::nullopt;
  if (!type)
    return Status::bad_input(
        fmt::format("{}: number format '{}' is not known", label, shown(dtype.value_or("?"))),
        "use the model in F32, F16 or BF16");
  t.type = *type;
  TRY(read_shape(entry, label, t));
  const auto offsets = json_array(entry, "data_offsets");
  uint64_t begin, end;
  if (!offsets || offsets->size() != 2 || offsets->at(0).get(begin) || offsets->at(1).get(end))
    return broken(fmt::format("{}: no sound data_offsets", label));
  if (begin > end || end > data.size())
    return broken(fmt::format(
        "{}: its data reaches past the end of the file (the file is cut short?)", label));
  if (end - begin != t.bytes())
    return broken(
        fmt::format("{}: {} bytes for a shape that takes {}", label, end - begin, t.bytes()));
  t.data = data.subspan(begin, end - begin);
  if (reinterpret_cast<uintptr_t>(t.data.data()) % t.codec().block_bytes != 0)
    return Status::bad_input(fmt::format("{}: its data is not aligned", label),
                             "save the model again with a current safetensors package");
  return {};
}

// The tensors lie side by side and fill the file, as the format demands.
Status check_layout(const std::vector<Tensor>& tensors, ByteView data) {
  const uint8_t* at = data.data();
  for (const Tensor& t : tensors) {
    if (t.data.data() != at)
      return broken(fmt::format("tensor {} overlaps another or leaves a hole", shown(t.name)));
    at += t.data.size();
  }
  if (at != data.data() + data.size()) return broken("bytes behind the last tensor");
  return {};
}

Status parse_into(ByteView bytes, std::vector<Tensor>& tensors) {
  uint64_t header_bytes;
  if (bytes.size() < sizeof header_bytes) return broken("not a safetensors file");
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8)
    return broken(fmt::format("not a safetensors file, or cut short: a header of {} bytes in {}",
                              header_bytes, bytes.size()));
  ASSIGN_OR_RETURN(const Json json,
                   Json::parse({reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes}));
  simdjson::dom::object header;
  if (json.root.get(header)) return broken("the header is no JSON object");
  const ByteView data = bytes.subspan(8 + header_bytes);
  std::unordered_set<std::string_view> seen;
  for (const auto& [name, entry] : header) {
    if (name == "__metadata__") continue;
    if (name.empty() || name.size() > kMostNameBytes)
      return broken(fmt::format("a tensor has a name of {} bytes", name.size()));
    if (!seen.insert(name).second)
      return broken(fmt::format("tensor {} appears twice", shown(name)));
    Tensor t;
    TRY(read_tensor(name, entry, data, t));
    tensors.push_back(std::move(t));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const Tensor& a, const Tensor& b) { return a.data.data() < b.data.data(); });
  return check_layout(tensors, data);
}

Status append_file(const std::string& path, SafetensorsFile& whole, std::vector<Tensor>& tensors) {
  ASSIGN_OR_RETURN(auto mapped, MappedFile::open(path));
  TRY(parse_into(mapped->bytes(), tensors).in(path));
  whole.files.push_back(std::move(mapped));
  return {};
}

// Which shard holds which tensor. Shards lie in the same folder: their names are no paths.
Result<std::map<std::string, std::vector<std::string>>> read_index(const std::string& path) {
  ASSIGN_OR_RETURN(const Json json, Json::read(path, kMaxIndexBytes));
  const auto weight_map = json_object(json.root, "weight_map");
  if (!weight_map || weight_map->size() == 0)
    return broken(fmt::format("{} has no weight_map", path));
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [name, value] : *weight_map) {
    std::string_view shard;
    if (value.get(shard) || shard.empty() || shard[0] == '.' ||
        shard.find('/') != std::string_view::npos || shard.find('\0') != std::string_view::npos)
      return broken(fmt::format("{}: tensor {} is in no sound file", path, shown(name)));
    shards[std::string(shard)].emplace_back(name);
  }
  return shards;
}

Result<SafetensorsFile> open_shards(const std::string& folder, const std::string& index) {
  ASSIGN_OR_RETURN(const auto shards, read_index(index));
  SafetensorsFile whole;
  std::unordered_set<std::string> seen;
  for (const auto& [shard, names] : shards) {
    std::vector<Tensor> tensors;
    TRY(append_file(folder + "/" + shard, whole, tensors));
    std::unordered_map<std::string_view, const Tensor*> by_name;
    for (const Tensor& t : tensors) by_name[t.name] = &t;
    for (const std::string& name : names) {
      const auto found = by_name.find(name);
      if (found == by_name.end())
        return broken(fmt::format("{}/{} lacks tensor {}", folder, shard, shown(name)));
      if (!seen.insert(name).second)
        return broken(fmt::format("{}: tensor {} appears twice", index, shown(name)));
      whole.tensors.push_back(*found->second);
    }
  }
  return whole;
}

}  // namespace

Result<SafetensorsFile> parse_safetensors(ByteView bytes) {
  SafetensorsFile file;
  TRY(parse_into(bytes, file.tensors));
  return file;
}

Result<SafetensorsFile> open_safetensors_folder(const std::string& folder) {
  const std::string index = folder + "/model.safetensors.index.json",
                    single = folder + "/model.safetensors";
  if (file_exists(single)) {
    SafetensorsFile file;
    TRY(append_file(single, file, file.tensors));
    return file;
  }
  if (file_exists(index)) return open_shards(folder, index);
  return Status::bad_input(fmt::format("{} holds no model.safetensors", folder),
                           "download the weights as safetensors");
}

}  // namespace enxuto
