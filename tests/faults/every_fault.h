// Fails the N-th pass through a fault point, for N = 1, 2, … until the operation gets through with
// no fault struck. Each failure must be an error with a fitting code and a reason, and must leave
// the folder as it was: the same names, the same bytes.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "base/status.h"
#include "platform/faults.h"
#include "platform/scratch_folder.h"

namespace enxuto::faults {

namespace fs = std::filesystem;

class Folder : public ScratchFolder {
 public:
  std::string operator/(const char* name) const { return path(name); }

  // Every file in it, with its bytes.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path())) {
      std::ifstream in(entry.path(), std::ios::binary);
      files[entry.path().string()] = {std::istreambuf_iterator<char>(in), {}};
    }
    return files;
  }
};

template <class T>
Status status_of(const Result<T>& result) {
  return result.status();
}
inline Status status_of(const Status& status) { return status; }

// Runs `operation` (gives a Status or a Result; nothing lasting but files in `folder`) until it
// succeeds. Returns how many faults struck; the caller asserts how many there must be at least. A
// fault that strikes and is not reported fails the test.
template <class Operation>
int64_t every_fault(FaultPoint point, const Folder& folder, Operation operation) {
  constexpr int64_t kMost = 10'000;
  const auto before = folder.contents();
  for (int64_t nth = 1; nth <= kMost; ++nth) {
    inject_fault(point, nth);
    const Status status = status_of(operation());
    const bool struck = fault_point_count(point) >= nth;
    inject_fault(point, 0);
    if (!struck) {
      EXPECT_TRUE(status.ok()) << "without a fault: " << status.what();
      return nth - 1;
    }
    EXPECT_FALSE(status.ok()) << "fault " << nth << " was not reported";
    EXPECT_TRUE(status.code() == Code::kFailed || status.code() == Code::kDoesNotFit)
        << "fault " << nth << " blames the user or the file: " << status.what();
    EXPECT_FALSE(status.what().empty()) << "fault " << nth;
    EXPECT_EQ(folder.contents(), before) << "fault " << nth << " left something behind";
    if (::testing::Test::HasFailure()) return nth;
  }
  ADD_FAILURE() << "never got through";
  return kMost;
}

}  // namespace enxuto::faults
