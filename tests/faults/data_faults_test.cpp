// Tokens made from texts, with each of the allocations, reads and writes failing once.
#include "data/sequences.h"
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

}  // namespace
}  // namespace enxuto
