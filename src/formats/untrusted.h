// What readers of untrusted bytes share.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "platform/file.h"

namespace enxuto {

inline constexpr uint64_t kMostNameBytes = 512;  // of a tensor

// From any address.
template <class T>
T load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Reads forward through untrusted bytes; every step is checked against what is left.
class Cursor {
 public:
  explicit Cursor(ByteView bytes) : bytes_(bytes) {}
  uint64_t position() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }

  template <class T>
  bool number(T& value) {
    if (left() < sizeof(T)) return false;
    value = load<T>(bytes_.data() + at_);
    at_ += sizeof(T);
    return true;
  }
  bool view(uint64_t size, ByteView& part) {
    if (left() < size) return false;
    part = bytes_.subspan(at_, size);
    at_ += size;
    return true;
  }
  bool text(std::string_view& value) {
    uint64_t length;
    ByteView part;
    if (!number(length) || !view(length, part)) return false;
    value = {reinterpret_cast<const char*>(part.data()), part.size()};
    return true;
  }

 private:
  ByteView bytes_;
  uint64_t at_ = 0;
};

// Keys and names go into messages: shortened, and without control characters.
inline std::string shown(std::string_view name) {
  std::string text(name.substr(0, 80));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  return text;
}

}  // namespace enxuto
