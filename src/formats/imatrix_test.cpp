// Importance matrices: those that others made are read as they are meant, ours are read again, and
// files that lie are refused with a message that names the entry.
#include "formats/imatrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "formats/gguf.h"
#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kTestdata = ENXUTO_SOURCE_DIR "/src/formats/testdata/";

std::vector<float> means_of(const Imatrix& imatrix, std::string_view name) {
  const ImatrixEntry* entry = imatrix.find(name);
  if (!entry) return {};
  std::vector<float> means(entry->columns);
  const Status status = entry->mean_squares(means);
  EXPECT_TRUE(status.ok()) << status.what();
  return means;
}

TEST(Imatrix, TheirsAreReadAsTheyAreMeant) {
  for (const char* name :
       {"golden-imatrix.gguf", "golden-imatrix.dat", "golden-imatrix-bare.dat"}) {
    const auto imatrix = open_imatrix(kTestdata + name);
    ASSERT_TRUE(imatrix.ok()) << imatrix.status().what();
    EXPECT_THAT(means_of(*imatrix, "blk.0.attn_q.weight"), ElementsAre(0.5f, 2, 0, 8.25f)) << name;
    EXPECT_THAT(means_of(*imatrix, "blk.0.ffn_down.weight"), ElementsAre(1, 0.25f)) << name;
    EXPECT_EQ(imatrix->find("blk.0.attn_k.weight"), nullptr);
  }
}

TEST(Imatrix, ThoseOfExpertsAreNotTakenForOne) {
  const auto imatrix = open_imatrix(kTestdata + "golden-imatrix.gguf");
  ASSERT_TRUE(imatrix.ok());
  const ImatrixEntry* experts = imatrix->find("blk.1.ffn_down_exps.weight");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(experts->columns, 4u);
  EXPECT_EQ(experts->matrices, 3u);
  std::vector<float> means(4);
  EXPECT_THAT(experts->mean_squares(means).what(), HasSubstr("3 matrices"));
}

TEST(Imatrix, OursAreReadAgain) {
  const ScratchFolder folder;
  const std::string path = folder.path("ours.gguf");
  const std::vector<float> wide = {3, 0, 1.5f, 1e-6f, 2e9f}, narrow = {0.25f};
  {
    auto out = OutputFile::create(path, false);
    ASSERT_TRUE(out.ok());
    ASSERT_TRUE(write_imatrix(*out, {"notes.txt", 3, 512, 1500},
                              {{"a", wide}, {"b", narrow}, {"c", wide, 2}})
                    .ok());
    ASSERT_TRUE(out->commit().ok());
  }
  const auto imatrix = open_imatrix(path);
  ASSERT_TRUE(imatrix.ok()) << imatrix.status().what();
  const std::vector<float> again = means_of(*imatrix, "a");
  ASSERT_EQ(again.size(), wide.size());
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_NEAR(again[i], wide[i], 1e-6 * wide[i]);
  EXPECT_EQ(imatrix->find("b")->count, 1500);
  EXPECT_EQ(imatrix->find("c")->matrices, 2u);
  EXPECT_EQ(imatrix->find("c")->columns, wide.size());
  // What llama-quantize asks for.
  const auto gguf = open_gguf(path);
  ASSERT_TRUE(gguf.ok());
  EXPECT_EQ(gguf->metadata.string_at("general.type"), "imatrix");
  EXPECT_EQ(gguf->metadata.find("imatrix.datasets")->as_strings(),
            std::vector<std::string_view>{"notes.txt"});
  EXPECT_EQ(gguf->metadata.unsigned_at("imatrix.chunk_count"), 3u);
  EXPECT_EQ(gguf->metadata.unsigned_at("imatrix.chunk_size"), 512u);
}

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// One entry of the old form, so that a test can make each part of it lie.
struct RawEntry {
  std::string name = "a.weight";
  int32_t length = 8, count = 2, n_values = 2;
  std::vector<float> values = {4, 6};
};

std::string bytes_of(const RawEntry& e, int32_t n = 1) {
  std::string out = raw(n) + raw(e.length) + e.name + raw(e.count) + raw(e.n_values);
  for (const float value : e.values) out += raw(value);
  return out;
}

// Of what parses, the error of its first entry's numbers.
Status read(const std::string& bytes) {
  const auto imatrix =
      parse_imatrix({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  if (!imatrix.ok()) return imatrix.status();
  const ImatrixEntry& entry = imatrix->entries.begin()->second;
  std::vector<float> means(entry.columns);
  return entry.mean_squares(means);
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(ImatrixLies, OfTheOldFormAreNamed) {
  const std::pair<const char*, std::function<void(RawEntry&)>> lies[] = {
      {"entry 0 has no sound name", [](RawEntry& e) { e.length = 0; }},
      {"entry 0 has no sound name", [](RawEntry& e) { e.length = -1; }},
      {"entry 0 has no sound name", [](RawEntry& e) { e.length = 100000; }},
      {"entry a.weight: 0 values", [](RawEntry& e) { e.n_values = 0; }},
      {"entry a.weight: -2 values", [](RawEntry& e) { e.n_values = -2; }},
      {"entry a.weight: 2147483647 values reach past",
       [](RawEntry& e) { e.n_values = std::numeric_limits<int32_t>::max(); }},
      {"behind the last of 1 entries", [](RawEntry& e) { e.values.resize(9, 1); }},
      {"a count of 0", [](RawEntry& e) { e.count = 0; }},
      {"a count of -7", [](RawEntry& e) { e.count = -7; }},
      {"column 1: -6", [](RawEntry& e) { e.values[1] = -6; }},
      {"column 0: nan", [](RawEntry& e) { e.values[0] = kNaN; }},
      {"column 1: inf", [](RawEntry& e) { e.values[1] = kInfinity; }},
      {"nothing but zeros", [](RawEntry& e) {
         e.values = {0, 0};
       }}};
  ASSERT_TRUE(read(bytes_of({})).ok());
  for (const auto& [said, tell] : lies) {
    RawEntry entry;
    tell(entry);
    const Status status = read(bytes_of(entry));
    EXPECT_EQ(status.code(), Code::kBadInput) << said;
    EXPECT_THAT(status.what(), HasSubstr(said));
    EXPECT_FALSE(status.todo().empty()) << said;
  }
  for (const int32_t n : {0, -1, 2, 1000000, std::numeric_limits<int32_t>::max()})
    EXPECT_EQ(read(bytes_of({}, n)).code(), Code::kBadInput) << n;
  const std::string twice = raw(2) + bytes_of({}).substr(4) + bytes_of({}).substr(4);
  EXPECT_THAT(read(twice).what(), HasSubstr("entry a.weight appears twice"));
  const std::string whole = bytes_of({}) + raw(2) + raw(5) + "notes";
  ASSERT_TRUE(read(whole).ok());
  const std::pair<size_t, size_t> allowed = {whole.size() - 13, whole.size() - 9};  // older ends
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(read(whole.substr(0, size)).ok(), size == allowed.first || size == allowed.second)
        << size;
}

// A file of the GGUF form, of these tensors.
struct RawTensor {
  std::string name;
  std::vector<uint64_t> shape;
  std::vector<float> values;
  Type type = Type::F32;
};

Status read(const std::vector<RawTensor>& tensors, const char* kind = "imatrix") {
  const ScratchFolder folder;
  const std::string path = folder.path("lie.gguf");
  Metadata metadata;
  metadata.set_string("general.type", kind);
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, false));
  GgufWriter writer(out, metadata);
  for (const RawTensor& t : tensors) TRY(writer.add(t.name, t.type, t.shape));
  TRY(writer.begin());
  for (const RawTensor& t : tensors)
    TRY(writer.write({reinterpret_cast<const uint8_t*>(t.values.data()),
                      t.values.size() * (t.type == Type::F16 ? 2 : 4)}));
  TRY(writer.finish());
  TRY(out.commit());
  ASSIGN_OR_RETURN(const Imatrix imatrix, open_imatrix(path));
  const ImatrixEntry& entry = imatrix.entries.begin()->second;
  std::vector<float> means(entry.columns);
  return entry.mean_squares(means);
}

TEST(ImatrixLies, OfTheGgufFormAreNamed) {
  const RawTensor sums{"a.in_sum2", {3, 1}, {1, 2, 3}}, counts{"a.counts", {1, 1}, {4}};
  const auto with_count = [&](float count) {
    return std::vector<RawTensor>{sums, {"a.counts", {1, 1}, {count}}};
  };
  const std::pair<const char*, std::vector<RawTensor>> lies[] = {
      {"entry a has no counts", {sums}},
      {"entry a has no in_sum2", {counts}},
      {"3 counts for 1 matrices", {sums, {"a.counts", {3}, {4, 4, 4}}}},
      {"1 counts for 3 matrices", {{"a.in_sum2", {1, 3}, {1, 2, 3}}, counts}},
      {"numbers are F16", {{"a.in_sum2", {3, 1}, {1, 2, 3}, Type::F16}, counts}},
      {"a count of 0", with_count(0)},
      {"a count of -1", with_count(-1)},
      {"a count of nan", with_count(kNaN)},
      {"a count of inf", with_count(kInfinity)},
      {"column 0: 1 as the sum of", with_count(1e-40f)},
      {"column 2: nan", {{"a.in_sum2", {3, 1}, {1, 2, kNaN}}, counts}},
      {"column 1: -2", {{"a.in_sum2", {3, 1}, {1, -2, 3}}, counts}},
      {"nothing but zeros", {{"a.in_sum2", {3, 1}, {0, 0, 0}}, counts}}};
  ASSERT_TRUE(read({sums, counts}).ok());
  for (const auto& [said, tensors] : lies) {
    const Status status = read(tensors);
    EXPECT_EQ(status.code(), Code::kBadInput) << said;
    EXPECT_THAT(status.what(), HasSubstr(said));
    EXPECT_FALSE(status.todo().empty()) << said;
  }
  EXPECT_THAT(read({sums, counts}, "model").what(), HasSubstr("no importance matrix"));
  EXPECT_THAT(read(std::string("GGUF")).what(), HasSubstr("ends early"));
}

}  // namespace
}  // namespace enxuto
