#include <cstring>

#include "formats/gguf.h"
#include "formats/untrusted.h"

namespace enxuto {
namespace {

// Of the types that fit; U64 is its callers' business.
std::optional<int64_t> integer(ValueType type, const uint8_t* p) {
  switch (type) {
    case ValueType::U8:
      return load<uint8_t>(p);
    case ValueType::I8:
      return load<int8_t>(p);
    case ValueType::U16:
      return load<uint16_t>(p);
    case ValueType::I16:
      return load<int16_t>(p);
    case ValueType::U32:
      return load<uint32_t>(p);
    case ValueType::I32:
      return load<int32_t>(p);
    case ValueType::I64:
      return load<int64_t>(p);
    case ValueType::Bool:
      return load<uint8_t>(p) != 0;
    default:
      return std::nullopt;
  }
}

std::optional<double> number(ValueType type, const uint8_t* p) {
  if (type == ValueType::F32) return load<float>(p);
  if (type == ValueType::F64) return load<double>(p);
  if (type == ValueType::Bool) return std::nullopt;
  if (type == ValueType::U64) return static_cast<double>(load<uint64_t>(p));
  const auto value = integer(type, p);
  if (!value) return std::nullopt;
  return static_cast<double>(*value);
}

ByteView bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

template <class T>
ByteView bytes_of_values(std::span<const T> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

}  // namespace

std::optional<uint64_t> MetaValue::as_unsigned() const {
  if (type == ValueType::String || type == ValueType::Array) return std::nullopt;
  if (type == ValueType::U64) return load<uint64_t>(payload.data());
  const auto value = integer(type, payload.data());
  if (!value || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> MetaValue::as_number() const {
  if (type == ValueType::String || type == ValueType::Array) return std::nullopt;
  return number(type, payload.data());
}

std::optional<bool> MetaValue::as_bool() const {
  if (type != ValueType::Bool) return std::nullopt;
  return payload[0] != 0;
}

std::optional<std::string_view> MetaValue::as_string() const {
  if (type != ValueType::String) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size());
}

std::optional<std::vector<std::string_view>> MetaValue::as_strings() const {
  if (type != ValueType::Array || element != ValueType::String) return std::nullopt;
  std::vector<std::string_view> strings;
  strings.reserve(count);  // bounded by the payload, which was validated against the file
  const uint8_t* p = payload.data();
  for (uint64_t i = 0; i < count; ++i) {
    const auto length = load<uint64_t>(p);
    strings.emplace_back(reinterpret_cast<const char*>(p + 8), length);
    p += 8 + length;
  }
  return strings;
}

std::optional<std::vector<double>> MetaValue::as_numbers() const {
  if (type != ValueType::Array || element == ValueType::String) return std::nullopt;
  std::vector<double> numbers;
  numbers.reserve(count);
  const uint64_t size = count ? payload.size() / count : 0;
  for (uint64_t i = 0; i < count; ++i) {
    const auto value = element == ValueType::Bool ? std::optional<double>(payload[i] != 0)
                                                  : number(element, payload.data() + i * size);
    if (!value) return std::nullopt;
    numbers.push_back(*value);
  }
  return numbers;
}

const MetaValue* Metadata::find(std::string_view key) const {
  for (const auto& [name, value] : entries_)
    if (name == key) return &value;
  return nullptr;
}

std::optional<uint64_t> Metadata::unsigned_at(std::string_view key) const {
  const MetaValue* value = find(key);
  return value ? value->as_unsigned() : std::nullopt;
}

std::optional<double> Metadata::number_at(std::string_view key) const {
  const MetaValue* value = find(key);
  return value ? value->as_number() : std::nullopt;
}

std::optional<std::string_view> Metadata::string_at(std::string_view key) const {
  const MetaValue* value = find(key);
  return value ? value->as_string() : std::nullopt;
}

std::optional<bool> Metadata::bool_at(std::string_view key) const {
  const MetaValue* value = find(key);
  return value ? value->as_bool() : std::nullopt;
}

void Metadata::append_view(std::string key, MetaValue value) {
  entries_.emplace_back(std::move(key), value);
}

void Metadata::set_view(std::string key, MetaValue value) {
  for (auto& [name, old] : entries_) {
    if (name != key) continue;
    old = value;
    return;
  }
  append_view(std::move(key), value);
}

MetaValue Metadata::own(ValueType type, ByteView payload) {
  owned_.push_back(std::make_shared<const std::vector<uint8_t>>(payload.begin(), payload.end()));
  return {type, ValueType::U8, 1, *owned_.back()};
}

void Metadata::set_u32(std::string key, uint32_t value) {
  set_view(std::move(key),
           own(ValueType::U32, bytes_of_values(std::span<const uint32_t>(&value, 1))));
}

void Metadata::set_f32(std::string key, float value) {
  set_view(std::move(key), own(ValueType::F32, bytes_of_values(std::span<const float>(&value, 1))));
}

void Metadata::set_bool(std::string key, bool value) {
  const uint8_t byte = value;
  set_view(std::move(key), own(ValueType::Bool, {&byte, 1}));
}

void Metadata::set_string(std::string key, std::string_view value) {
  set_view(std::move(key), own(ValueType::String, bytes_of(value)));
}

void Metadata::set_strings(std::string key, const std::vector<std::string_view>& values) {
  std::vector<uint8_t> packed;
  for (std::string_view text : values) {
    const uint64_t length = text.size();
    const ByteView parts[] = {bytes_of_values(std::span<const uint64_t>(&length, 1)),
                              bytes_of(text)};
    for (ByteView part : parts) packed.insert(packed.end(), part.begin(), part.end());
  }
  MetaValue value = own(ValueType::Array, packed);
  value.element = ValueType::String;
  value.count = values.size();
  set_view(std::move(key), value);
}

void Metadata::set_f32s(std::string key, std::span<const float> values) {
  MetaValue value = own(ValueType::Array, bytes_of_values(values));
  value.element = ValueType::F32;
  value.count = values.size();
  set_view(std::move(key), value);
}

void Metadata::set_i32s(std::string key, std::span<const int32_t> values) {
  MetaValue value = own(ValueType::Array, bytes_of_values(values));
  value.element = ValueType::I32;
  value.count = values.size();
  set_view(std::move(key), value);
}

void Metadata::rename_prefix(std::string_view from, std::string_view to) {
  for (auto& [key, value] : entries_)
    if (key.starts_with(from)) key.replace(0, from.size(), to);
}

void Metadata::erase(std::string_view key) {
  std::erase_if(entries_, [key](const auto& entry) { return entry.first == key; });
}

}  // namespace enxuto
