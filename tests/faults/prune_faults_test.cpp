// prune, with each of its allocations, reads and writes failing once.
#include "prune/prune.h"
#include "tests/faults/every_fault.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using faults::every_fault;
using faults::Folder;

class PruneFaults : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        write_tiny_gguf(tiny_model({.n_layers = 2}), Type::F16, folder_ / "model.gguf").ok());
    std::ofstream(folder_ / "old.gguf") << "precious";
  }

  Status open_and_prune(const char* name, bool keep) {
    ASSIGN_OR_RETURN(auto model, open_model(folder_ / "model.gguf"));
    PruneRequest request;
    request.what = PruneWhat::kChannels;
    request.remove = 0.1;
    request.uniform = true;
    request.effort = Effort::kFast;
    request.calibration_text = std::string(400, 'a');
    request.replace_output = true;
    Status status = prune(model, folder_ / name, request, {}).status();
    if (status.ok() && !keep) std::filesystem::remove(folder_ / name);
    return status;
  }

  Folder folder_;
};

TEST_F(PruneFaults, AllocationsThatFail) {
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder_,
                        [&] { return open_and_prune("new.gguf", false); }),
            2);
}

TEST_F(PruneFaults, ReadsThatFail) {
  EXPECT_GE(
      every_fault(FaultPoint::kRead, folder_, [&] { return open_and_prune("new.gguf", false); }),
      1);
}

TEST_F(PruneFaults, WritesThatFailKeepTheOldFile) {
  EXPECT_GE(
      every_fault(FaultPoint::kWrite, folder_, [&] { return open_and_prune("old.gguf", true); }),
      4);  // open, write, sync, rename
}

}  // namespace
}  // namespace enxuto
