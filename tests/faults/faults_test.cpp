// Every public operation that reads, writes or takes memory, with each of its steps failing once.
#include <array>

#include "formats/gguf.h"
#include "memory/arena.h"
#include "tests/faults/every_fault.h"

namespace enxuto {
namespace {

using faults::every_fault;
using faults::Folder;

constexpr std::array<uint8_t, 256> kBytes = {1, 2, 3};

Status write_file(const std::string& path, bool replace) {
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, replace));
  for (int i = 0; i < 3; ++i) TRY(out.write(kBytes));
  TRY(out.flush());
  TRY(out.write_at(100, kBytes));
  return out.commit();
}

// Two tensors, of 256 bytes each.
Status write_gguf(const std::string& path) {
  Metadata metadata;
  metadata.set_string("general.architecture", "llama");
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, false));
  GgufWriter writer(out, metadata);
  constexpr uint64_t kShape[] = {32, 2};
  TRY(writer.add("a", Type::F32, kShape));
  TRY(writer.add("b", Type::F32, kShape));
  TRY(writer.begin());
  TRY(writer.write(kBytes));
  TRY(out.flush());
  TRY(writer.write(kBytes));
  TRY(writer.finish());
  return out.commit();
}

TEST(Faults, WritingAFile) {
  Folder folder;
  EXPECT_GE(
      every_fault(FaultPoint::kWrite, folder, [&] { return write_file(folder / "new", false); }),
      5);  // open, write, write over, sync, rename
}

TEST(Faults, ReplacingAFileKeepsTheOldOne) {
  Folder folder;
  std::ofstream(folder / "old") << "precious";
  EXPECT_GE(
      every_fault(FaultPoint::kWrite, folder, [&] { return write_file(folder / "old", true); }), 5);
  EXPECT_EQ(folder.contents().begin()->second.size(), 3 * kBytes.size());
}

TEST(Faults, ReadingAFile) {
  Folder folder;
  std::ofstream(folder / "text") << "{}";
  const std::string path = folder / "text";
  const auto read = [&] { return read_text_file(path, 100); };
  EXPECT_GE(every_fault(FaultPoint::kRead, folder, read), 2);  // size, bytes
  const auto map = [&] { return MappedFile::open(path); };
  EXPECT_GE(every_fault(FaultPoint::kRead, folder, map), 1);
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder, map), 1);
}

TEST(Faults, OpeningAnArena) {
  Folder folder;
  const MemoryMap map{{{"weights", 4096, "", "", PartKind::kMapped},
                       {"cache", 8192, "", "", PartKind::kArena},
                       {"scratch", 4096, "", "", PartKind::kArena}}};
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder, [&] { return Arena::open(map); }), 1);
}

TEST(Faults, WritingAModel) {
  Folder folder;
  EXPECT_GE(every_fault(FaultPoint::kWrite, folder, [&] { return write_gguf(folder / "m.gguf"); }),
            5);
  const auto written = open_gguf(folder / "m.gguf");
  ASSERT_TRUE(written.ok()) << written.status().what();
  EXPECT_EQ(written->tensors.size(), 2u);
}

TEST(Faults, OpeningAModel) {
  Folder folder;
  const std::string path = folder / "m.gguf";
  ASSERT_TRUE(write_gguf(path).ok());
  const auto open = [&] { return open_gguf(path); };
  EXPECT_GE(every_fault(FaultPoint::kRead, folder, open), 1);
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder, open), 1);
}

}  // namespace
}  // namespace enxuto
