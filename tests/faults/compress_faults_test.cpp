// compress, with each of its allocations, reads and writes failing once.
#include "compress/compress.h"
#include "tests/faults/every_fault.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using faults::every_fault;
using faults::Folder;

class CompressFaults : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(write_tiny_gguf(tiny_model({}), Type::F16, folder_ / "model.gguf").ok());
    std::ofstream(folder_ / "old.gguf") << "precious";
  }

  Status open_and_compress(const char* name, bool keep) {
    ASSIGN_OR_RETURN(auto model, open_model(folder_ / "model.gguf"));
    CompressRequest request;
    request.target_bytes = model->file_bytes / 2;
    request.calibration_text = std::string(400, 'a');
    request.replace_output = true;
    Status status = compress(model, folder_ / name, request, {}).status();
    if (status.ok() && !keep) std::filesystem::remove(folder_ / name);
    return status;
  }

  Folder folder_;
};

TEST_F(CompressFaults, AllocationsThatFail) {
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder_,
                        [&] { return open_and_compress("new.gguf", false); }),
            2);  // the mapped model, the session's arena
}

TEST_F(CompressFaults, ReadsThatFail) {
  EXPECT_GE(
      every_fault(FaultPoint::kRead, folder_, [&] { return open_and_compress("new.gguf", false); }),
      1);
}

TEST_F(CompressFaults, WritesThatFailKeepTheOldFile) {
  EXPECT_GE(
      every_fault(FaultPoint::kWrite, folder_, [&] { return open_and_compress("old.gguf", true); }),
      4);  // open, write, sync, rename
}

}  // namespace
}  // namespace enxuto
