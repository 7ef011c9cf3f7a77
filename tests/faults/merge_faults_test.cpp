// merge, with each of its allocations and writes failing once.
#include "models/adapter.h"
#include "tests/faults/every_fault.h"
#include "tests/tiny/tiny_model.h"
#include "train/merge_adapter.h"

namespace enxuto {
namespace {

using faults::every_fault;
using faults::Folder;

class MergeFaults : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        write_tiny_gguf(tiny_model({.n_layers = 2}), Type::F16, folder_ / "model.gguf").ok());
    std::ofstream(folder_ / "old.gguf") << "precious";
    const auto model = open_model(folder_ / "model.gguf");
    ASSERT_TRUE(model.ok());
    const auto adapter = blank_adapter(**model, 2);
    const std::vector<float> ones(4096, 1);
    for (Tensor& tensor : adapter->tensors) {
      ASSERT_LE(tensor.count(), ones.size());
      tensor.data = {reinterpret_cast<const uint8_t*>(ones.data()), tensor.bytes()};
    }
    ASSERT_TRUE(write_adapter(*adapter, **model, folder_ / "adapter.gguf", false).ok());
  }

  Status open_and_merge(const char* name, bool keep) {
    ASSIGN_OR_RETURN(const auto model, open_model(folder_ / "model.gguf"));
    ASSIGN_OR_RETURN(const auto adapter, open_adapter(folder_ / "adapter.gguf", *model));
    const Status status = merge_adapter(*model, *adapter, folder_ / name, true, 2, {}).status();
    if (status.ok() && !keep) std::filesystem::remove(folder_ / name);
    return status;
  }

  Folder folder_;
};

TEST_F(MergeFaults, AllocationsThatFail) {
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder_,
                        [&] { return open_and_merge("new.gguf", false); }),
            1);
}

TEST_F(MergeFaults, WritesThatFailKeepTheOldFile) {
  EXPECT_GE(
      every_fault(FaultPoint::kWrite, folder_, [&] { return open_and_merge("old.gguf", true); }),
      4);  // open, write, sync, rename
}

}  // namespace
}  // namespace enxuto
