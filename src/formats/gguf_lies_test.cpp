// Files that lie: each mutation of a valid tiny file is refused with a message that names the
// place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "formats/gguf.h"

namespace enxuto {
namespace {

using ::testing::HasSubstr;

struct RawTensor {
  std::string name;
  std::vector<uint64_t> dims;
  uint32_t type;
  uint64_t offset;
};

// Everything a header says, so that a test can make each of it lie.
struct RawFile {
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t n_tensors = 2, n_keys = 2;
  std::vector<std::pair<std::string, std::string>> keys;  // name, type and payload
  std::vector<RawTensor> tensors = {{"a.weight", {32, 2}, 0, 0}, {"b.weight", {32}, 8, 256}};
  size_t data_bytes = 256 + 64;
  size_t cut = 0;  // bytes missing at the end
};

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(const std::string& value) { return raw<uint64_t>(value.size()) + value; }
std::string u32_value(uint32_t value) { return raw<uint32_t>(4) + raw(value); }

RawFile valid() {
  RawFile f;
  f.keys = {{"general.architecture", raw<uint32_t>(8) + text("llama")}, {"k", u32_value(7)}};
  return f;
}

std::string bytes_of(const RawFile& f) {
  std::string out = f.magic + raw(f.version) + raw(f.n_tensors) + raw(f.n_keys);
  for (const auto& [name, value] : f.keys) out += text(name) + value;
  for (const RawTensor& t : f.tensors) {
    out += text(t.name) + raw(static_cast<uint32_t>(t.dims.size()));
    for (uint64_t dim : t.dims) out += raw(dim);
    out += raw(t.type) + raw(t.offset);
  }
  out.resize((out.size() + 31) / 32 * 32);
  out.resize(out.size() + f.data_bytes);
  out.resize(out.size() - f.cut);
  return out;
}

Status parse(const std::string& bytes) {
  return parse_gguf({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}).status();
}

struct Lie {
  const char* said;  // part of the message
  std::function<void(RawFile&)> tell;
};

std::string array_value(uint32_t element, uint64_t count, const std::string& payload) {
  return raw<uint32_t>(9) + raw(element) + raw(count) + payload;
}

const Lie kLies[] = {
    {"not a GGUF file", [](RawFile& f) { f.magic = "GGML"; }},
    {"GGUF version 1", [](RawFile& f) { f.version = 1; }},
    {"GGUF version 4", [](RawFile& f) { f.version = 4; }},
    {"big-endian", [](RawFile& f) { f.version = 0x03000000; }},
    {"promises 18446744073709551615 keys", [](RawFile& f) { f.n_keys = ~uint64_t{0}; }},
    {"promises 1000000 tensors", [](RawFile& f) { f.n_tensors = 1000000; }},
    {"promises 9223372036854775808 tensors", [](RawFile& f) { f.n_tensors = uint64_t{1} << 63; }},
    {"reaches past the end",
     [](RawFile& f) { f.keys[1].second = raw<uint32_t>(8) + raw<uint64_t>(10'000'000'000); }},
    {"reaches past the end",
     [](RawFile& f) { f.keys[1].second = raw<uint32_t>(8) + raw(~uint64_t{0}); }},
    {"unknown value type 13", [](RawFile& f) { f.keys[1].second = raw<uint32_t>(13); }},
    {"key 1 has a name of 0 bytes", [](RawFile& f) { f.keys[1].first = ""; }},
    {"key 1 has a name of 70000 bytes",
     [](RawFile& f) { f.keys[1].first = std::string(70000, 'k'); }},
    {"key k appears twice",
     [](RawFile& f) {
       f.n_keys = 3, f.keys.push_back({"k", u32_value(8)});
     }},
    {"arrays of type 9", [](RawFile& f) { f.keys[1].second = array_value(9, 1, ""); }},
    {"arrays of type 99", [](RawFile& f) { f.keys[1].second = array_value(99, 1, ""); }},
    {"array of 4611686018427387905 values",
     [](RawFile& f) { f.keys[1].second = array_value(4, (uint64_t{1} << 62) + 1, ""); }},
    {"array of 1000000000 strings",
     [](RawFile& f) { f.keys[1].second = array_value(8, 1000000000, ""); }},
    {"string 1 reaches past",
     [](RawFile& f) { f.keys[1].second = array_value(8, 2, text("x") + raw<uint64_t>(99999)); }},
    {"general.alignment",
     [](RawFile& f) {
       f.keys[1] = {"general.alignment", u32_value(48)};
     }},
    {"general.alignment",
     [](RawFile& f) {
       f.keys[1] = {"general.alignment", u32_value(0)};
     }},
    {"general.alignment",
     [](RawFile& f) {
       f.keys[1] = {"general.alignment", u32_value(4)};
     }},
    {"general.alignment",
     [](RawFile& f) {
       f.keys[1] = {"general.alignment", u32_value(1u << 31)};
     }},
    {"general.alignment",
     [](RawFile& f) {
       f.keys[1] = {"general.alignment", raw<uint32_t>(8) + text("32")};
     }},
    {"tensor 1 has a name of 0 bytes", [](RawFile& f) { f.tensors[1].name = ""; }},
    {"tensor a.weight appears twice", [](RawFile& f) { f.tensors[1].name = "a.weight"; }},
    {"tensor b.weight: 0 dimensions", [](RawFile& f) { f.tensors[1].dims = {}; }},
    {"tensor b.weight: 5 dimensions",
     [](RawFile& f) {
       f.tensors[1].dims = {32, 1, 1, 1, 1};
     }},
    {"tensor a.weight: dimension 1 is zero",
     [](RawFile& f) {
       f.tensors[0].dims = {32, 0};
     }},
    {"tensor a.weight: its dimensions overflow",
     [](RawFile& f) {
       f.tensors[0].dims = {uint64_t{1} << 33, uint64_t{1} << 33};
     }},
    {"tensor a.weight: its dimensions overflow",
     [](RawFile& f) {
       f.tensors[0].dims = {uint64_t{1} << 62, 2};
     }},
    {"tensor a.weight: its data reaches past",
     [](RawFile& f) { f.tensors[0].dims = {uint64_t{1} << 58}; }},
    {"tensor a.weight: unknown number format 4", [](RawFile& f) { f.tensors[0].type = 4; }},
    {"tensor a.weight: unknown number format 4294967295",
     [](RawFile& f) { f.tensors[0].type = ~0u; }},
    {"rows of 33 values do not divide into blocks of 32",
     [](RawFile& f) { f.tensors[1].dims = {33}; }},
    {"rows of 48 values do not divide into blocks of 32 (SF16)",
     [](RawFile& f) { f.tensors[1].dims = {48}, f.tensors[1].type = 65536; }},
    {"tensor b.weight: its data reaches past",
     [](RawFile& f) { f.tensors[1].dims = {64}, f.tensors[1].type = 65536; }},
    {"tensor b.weight: offset 257 is not aligned to 32",
     [](RawFile& f) { f.tensors[1].offset = 257; }},
    {"tensor b.weight: its data reaches past", [](RawFile& f) { f.tensors[1].offset = 320; }},
    {"tensor b.weight: its data reaches past",
     [](RawFile& f) { f.tensors[1].offset = ~uint64_t{31}; }},
    {"tensor b.weight: its data reaches past", [](RawFile& f) { f.cut = 31; }},
    {"two tensors overlap", [](RawFile& f) { f.tensors[1].offset = 224; }},
};

TEST(GgufLies, AreNamed) {
  ASSERT_TRUE(parse(bytes_of(valid())).ok()) << parse(bytes_of(valid())).what();
  for (const Lie& lie : kLies) {
    RawFile file = valid();
    lie.tell(file);
    const Status status = parse(bytes_of(file));
    EXPECT_EQ(status.code(), Code::kBadInput) << lie.said;
    EXPECT_THAT(status.what(), HasSubstr(lie.said));
    EXPECT_FALSE(status.todo().empty()) << lie.said;
  }
}

TEST(GgufLies, EveryTruncationIsRefused) {
  const std::string whole = bytes_of(valid());
  const size_t padding = 320 - 256 - 34;  // behind the last tensor: nobody misses it
  for (size_t size = 0; size < whole.size() - padding; ++size)
    EXPECT_EQ(parse(whole.substr(0, size)).code(), Code::kBadInput) << size;
  for (size_t size = whole.size() - padding; size <= whole.size(); ++size)
    EXPECT_TRUE(parse(whole.substr(0, size)).ok()) << size;
}

TEST(GgufLies, NamesOfTensorsCannotDrawOnTheTerminal) {
  RawFile file = valid();
  file.tensors[1].name = "evil\x1b[31m\nname" + std::string(300, 'x');
  file.tensors[1].offset = 1;
  const std::string said = parse(bytes_of(file)).what();
  EXPECT_EQ(said.find('\x1b'), std::string::npos);
  EXPECT_EQ(said.find('\n'), std::string::npos);
  EXPECT_LT(said.size(), 200u);
}

}  // namespace
}  // namespace enxuto
