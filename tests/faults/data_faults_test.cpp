// Tokens made from texts, with each of the allocations, reads and writes failing once.
#include "data/sequences.h"
#include "data/teacher_file.h"
#include "data/tokenize.h"
#include "tests/faults/every_fault.h"
#include "tokenizer/bpe_training.h"

namespace enxuto {
namespace {

using faults::every_fault;
using faults::Folder;

class DataFaults : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(folder_ / "a.txt") << "some text";
    std::ofstream(folder_ / "b.jsonl") << R"({"prompt": "q", "completion": "a"})";
    std::ofstream(folder_ / "old.tokens") << "precious";
  }
  Status make(const char* name, bool keep) {
    Status status =
        write_tokens(*tokenizer_, {folder_ / "a.txt", folder_ / "b.jsonl"}, folder_ / name, {})
            .status();
    if (status.ok() && !keep) std::filesystem::remove(folder_ / name);
    return status;
  }

  Metadata metadata_ = std::move(BpeTrainer::create(1)->train(kLeastBpeTokens, {})).value();
  std::unique_ptr<Tokenizer> tokenizer_ = std::move(Tokenizer::create(metadata_)).value();
  Folder folder_;
};

TEST_F(DataFaults, WritesThatFailKeepTheOldFile) {
  EXPECT_GE(every_fault(FaultPoint::kWrite, folder_, [&] { return make("old.tokens", true); }),
            8);  // open, write, sync, rename, of tokens and of what is learned
  EXPECT_TRUE(TokenFile::open(folder_ / "old.tokens").ok());
}

TEST_F(DataFaults, ReadsThatFail) {
  EXPECT_GE(every_fault(FaultPoint::kRead, folder_, [&] { return make("new.tokens", false); }), 6);
}

TEST_F(DataFaults, OpeningATokenFile) {
  ASSERT_TRUE(make("new.tokens", true).ok());
  const auto open = [&] { return TokenFile::open(folder_ / "new.tokens"); };
  EXPECT_GE(every_fault(FaultPoint::kRead, folder_, open), 1);
  EXPECT_GE(every_fault(FaultPoint::kAllocation, folder_, open), 1);
}

TEST_F(DataFaults, WhatATeacherSays) {
  const auto make_taught = [&]() -> Status {
    ASSIGN_OR_RETURN(TeacherFileWriter writer,
                     TeacherFileWriter::create(folder_ / "taught", {300, 1, 2, 1, 7}));
    const Token token = 5;
    const float log_p[] = {-0.1f, -2.35f};
    for (int row = 0; row < 2; ++row) TRY(writer.add({&token, 1}, log_p));
    return writer.finish();
  };
  const auto make_and_remove = [&] {
    const Status made = make_taught();
    if (made.ok()) std::filesystem::remove(folder_ / "taught");
    return made;
  };
  EXPECT_GE(every_fault(FaultPoint::kWrite, folder_, make_and_remove), 5);
  ASSERT_TRUE(make_taught().ok());
  const auto open = [&] { return TeacherFile::open(folder_ / "taught"); };
  EXPECT_GE(every_fault(FaultPoint::kRead, folder_, open), 1);
}

}  // namespace
}  // namespace enxuto
