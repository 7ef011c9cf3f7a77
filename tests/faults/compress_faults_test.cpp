// compress, with each of its allocations, reads and writes failing once.
#include "compress/compress.h"
#include "formats/imatrix.h"
#include "plan/compression_plan.h"
#include "tests/faults/every_fault.h"
#include "tests/tiny/tiny_model.h"
#include "tokenizer/tokenizer.h"

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
    request.effort = Effort::kFast;
    request.calibration_text = std::string(400, 'a');
    request.replace_output = true;
    request.memory_bytes = memory_bytes_;
    request.save_imatrix_path = imatrix_path_;
    Status status = compress(model, folder_ / name, request, {}).status();
    if (status.ok() && !keep) std::filesystem::remove(folder_ / name);
    return status;
  }

  // 0 where the smallest plan does not stream.
  uint64_t least_memory() {
    const auto model = open_model(folder_ / "model.gguf");
    if (!model.ok()) return 0;
    const auto tokenizer = Tokenizer::create((*model)->metadata);
    if (!tokenizer.ok()) return 0;
    const auto plan = plan_compression(**model, {.effort = Effort::kFast,
                                                 .memory_bytes = 1,
                                                 .tokenizer_bytes = (*tokenizer)->table_bytes()});
    return plan.ok() && plan->streams ? plan->map.total_bytes() : 0;
  }

  uint64_t memory_bytes_ = 0;
  std::string imatrix_path_;
  Folder folder_;
};

// Streamed, with states in memory or in a file: the thread that reads ahead may meet a fault that
// nobody waits for any more, so not every fault has to be reported; but none leaves anything.
TEST_F(CompressFaults, ReadsOfStreamedWeightsThatFail) {
  ASSERT_TRUE(
      write_tiny_gguf(tiny_model({.width = 96, .n_layers = 8}), Type::F32, folder_ / "model.gguf")
          .ok());
  const auto before = folder_.contents();
  memory_bytes_ = least_memory();
  ASSERT_GT(memory_bytes_, 0u);
  int failures = 0;
  for (int64_t nth = 1;; nth = nth * 5 / 4 + 1) {
    inject_fault(FaultPoint::kRead, nth);
    const Status status = open_and_compress("new.gguf", false);
    const bool struck = fault_point_count(FaultPoint::kRead) >= nth;
    inject_fault(FaultPoint::kRead, 0);
    EXPECT_EQ(folder_.contents(), before) << "fault " << nth << " left something behind";
    if (!struck) break;
    if (status.ok()) continue;
    EXPECT_EQ(status.code(), Code::kFailed) << status.what();
    ++failures;
  }
  EXPECT_GT(failures, 10);
}

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

// Two files cannot appear at once; but each is whole, or it is not there. The last writes are those
// with which they appear.
TEST_F(CompressFaults, AnImportanceMatrixIsWholeOrNotThere) {
  imatrix_path_ = folder_ / "imatrix.gguf";
  const std::vector<std::string> before = folder_.names();
  int64_t n_writes = 0;
  for (int64_t left = 0; left < 6; ++left) {  // first without a fault, to count them
    inject_fault(FaultPoint::kWrite, left == 0 ? int64_t{1} << 40 : n_writes + 1 - left);
    const Status status = open_and_compress("new.gguf", true);
    if (left == 0) n_writes = fault_point_count(FaultPoint::kWrite);
    inject_fault(FaultPoint::kWrite, 0);
    EXPECT_EQ(status.code(), left == 0 ? Code::kOk : Code::kFailed) << left;
    const bool written = file_exists(imatrix_path_);
    EXPECT_TRUE(written || left > 0);
    EXPECT_TRUE(!written || open_imatrix(imatrix_path_).ok()) << left;
    EXPECT_TRUE(!file_exists(folder_ / "new.gguf") || open_model(folder_ / "new.gguf").ok());
    std::filesystem::remove(imatrix_path_);
    std::filesystem::remove(folder_ / "new.gguf");
    EXPECT_EQ(folder_.names(), before) << "fault " << left << " from the end left something behind";
  }
}

}  // namespace
}  // namespace enxuto
