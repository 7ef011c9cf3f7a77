#include "platform/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "platform/faults.h"

namespace enxuto {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  FileTest()
      : folder_(fs::temp_directory_path() / ("enxuto_file_test." + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~FileTest() override {
    inject_fault(FaultPoint::kWrite, 0);
    fs::remove_all(folder_);
  }
  std::string path(const char* name) const { return (folder_ / name).string(); }
  size_t entries() const {
    return std::distance(fs::directory_iterator(folder_), fs::directory_iterator());
  }
  fs::path folder_;
};

const uint8_t kHello[] = {'h', 'e', 'l', 'l', 'o'};

TEST_F(FileTest, AppearsOnlyWhenCommitted) {
  {
    auto out = OutputFile::create(path("a"), false);
    ASSERT_TRUE(out.ok());
    ASSERT_TRUE(out->write(kHello).ok());
    EXPECT_FALSE(file_exists(path("a")));
  }
  EXPECT_EQ(entries(), 0u);
  auto out = OutputFile::create(path("a"), false);
  ASSERT_TRUE(out.ok());
  ASSERT_TRUE(out->write(kHello).ok() && out->write_at(1, ByteView(kHello, 1)).ok() &&
              out->commit().ok());
  EXPECT_EQ(*read_text_file(path("a"), 100), "hhllo");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FileTest, LargeWritesArriveWhole) {
  std::vector<uint8_t> big(3'000'001);
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<uint8_t>(i * 7 + i / 999);
  auto out = OutputFile::create(path("big"), false);
  ASSERT_TRUE(out.ok());
  for (size_t at = 0, piece = 1; at < big.size(); at += piece, piece = piece * 3 + 1) {
    piece = std::min(piece, big.size() - at);
    ASSERT_TRUE(out->write(ByteView(big).subspan(at, piece)).ok());
  }
  ASSERT_TRUE(out->commit().ok());
  auto mapped = MappedFile::open(path("big"));
  ASSERT_TRUE(mapped.ok());
  EXPECT_TRUE(
      std::equal(big.begin(), big.end(), (*mapped)->bytes().begin(), (*mapped)->bytes().end()));
}

TEST_F(FileTest, EveryFailingWriteLeavesNothing) {
  for (int nth = 1;; ++nth) {
    inject_fault(FaultPoint::kWrite, nth);
    Status status = [&]() -> Status {
      ASSIGN_OR_RETURN(auto out, OutputFile::create(path("f"), false));
      TRY(out.write(kHello));
      return out.commit();
    }();
    if (status.ok()) {
      EXPECT_GT(nth, 3);
      break;
    }
    EXPECT_EQ(status.code(), Code::kFailed);
    EXPECT_EQ(entries(), 0u) << nth;
  }
}

TEST_F(FileTest, RefusesWhatItShould) {
  std::ofstream(path("there")) << "x";
  EXPECT_EQ(OutputFile::create(path("there"), false).status().code(), Code::kUsage);
  EXPECT_EQ(OutputFile::create(path("no/such/folder"), false).status().code(), Code::kFailed);
  EXPECT_EQ(OutputFile::create(folder_.string(), true).status().code(), Code::kUsage);
  EXPECT_EQ(MappedFile::open(path("missing")).status().code(), Code::kBadInput);
  EXPECT_EQ(MappedFile::open(folder_.string()).status().code(), Code::kBadInput);
  EXPECT_EQ(MappedFile::open("/dev/null").status().code(), Code::kBadInput);
  EXPECT_EQ(read_text_file(path("there"), 0).status().code(), Code::kBadInput);
}

TEST_F(FileTest, SameFileSeesThroughLinks) {
  std::ofstream(path("x")) << "x";
  fs::create_symlink(path("x"), path("y"));
  EXPECT_TRUE(same_file(path("x"), path("y")));
  EXPECT_FALSE(same_file(path("x"), path("z")));
}

// What the kernel is told of a mapping, as its list of them says: hg, large pages; rr, read here
// and there; nh, no large pages.
std::string advice_at(const uint8_t* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside = begin <= reinterpret_cast<uintptr_t>(address) &&
               reinterpret_cast<uintptr_t>(address) < end;
    else if (inside && line.starts_with("VmFlags:"))
      return line + ' ';
  }
  return "";
}

TEST_F(FileTest, WhatIsReadOverAndOverMayLieInLargePages) {
  const bool has_large = fs::exists("/sys/kernel/mm/transparent_hugepage");
  constexpr size_t kBytes = 1 << 16;
  std::ofstream(path("a")) << std::string(kBytes, 'a');
  const auto file = MappedFile::open(path("a"));
  ASSERT_TRUE(file.ok());
  const ByteView bytes = (*file)->bytes();
  (*file)->expect_reuse();
  EXPECT_EQ(advice_at(bytes.data()).find(" hg ") != std::string::npos, has_large);
  (*file)->set_apart(bytes.subspan(kBytes / 2));
  EXPECT_EQ(advice_at(bytes.data()).find(" hg ") != std::string::npos, has_large);
  const std::string apart = advice_at(bytes.data() + kBytes - 1);
  EXPECT_NE(apart.find(" rr "), std::string::npos);
  EXPECT_EQ(apart.find(" hg "), std::string::npos);
  EXPECT_EQ(bytes.back(), 'a');
}

}  // namespace
}  // namespace enxuto
