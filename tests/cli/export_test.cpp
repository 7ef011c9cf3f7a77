// export, from outside: the folder is whole or absent, what train made goes through it, errors
// help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "inputs.h"
#include "models/model.h"
#include "program.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

class ExportCommand : public testing::Test {
 protected:
  void SetUp() override {
    const Status written = write_tiny_gguf(tiny_model({.rope_factors = false}), Type::Q8_0, model_);
    ASSERT_TRUE(written.ok()) << written.what();
  }
  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf"), folder_ = scratch_.path("folder");
};

TEST_F(ExportCommand, WritesAFolderThatTransformersKnows) {
  const Outcome outcome = run_program({"export", model_, "-o", folder_, "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.error;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["type"], "BF16");
  EXPECT_EQ(json["tensor_bytes"], size_of(folder_ + "/model.safetensors"));
#if !defined(__SANITIZE_ADDRESS__)  // which has memory of its own
  EXPECT_LE(json["peak_rss_bytes"], 1.1 * json["planned_bytes"].get<double>());
#endif
  const Json config = Json::parse(read_whole(folder_ + "/config.json"));
  EXPECT_EQ(config["architectures"], Json({"LlamaForCausalLM"}));
  EXPECT_EQ(config["dtype"], "bfloat16");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
    EXPECT_FALSE(Json::parse(read_whole(folder_ + "/" + name)).empty()) << name;
  EXPECT_THAT(scratch_.names(), ElementsAre("folder", "tiny.gguf"));
}

TEST_F(ExportCommand, TakesWhatTrainMade) {
  scratch_.write("notes.txt", sample_text(6000));
  const std::string own = scratch_.path("own.gguf");
  const Outcome trained =
      run_program({"train", "--data", scratch_.path("notes.txt"), "-o", own, "--tokenizer",
                   "bpe:300", "--layers", "1", "--width", "32", "--heads", "1", "-c", "32",
                   "--batch-size", "2", "--steps", "1"});
  ASSERT_EQ(trained.exit_code, 0) << trained.error;
  ASSERT_EQ(run_program({"export", own, "-o", folder_}).exit_code, 0);
  const auto back = open_model(folder_), file = open_model(own);
  ASSERT_TRUE(back.ok() && file.ok());
  EXPECT_EQ((*back)->token_embedding->type, (*file)->token_embedding->type);
}

TEST_F(ExportCommand, SaysWhatIsWrong) {
  scratch_.write("folder/precious.txt", "x");
  const Outcome exists = run_program({"export", model_, "-o", folder_});
  EXPECT_EQ(exists.exit_code, 2);
  EXPECT_THAT(exists.error, HasSubstr("exists already"));
  EXPECT_EQ(
      run_program({"export", model_, "-o", scratch_.path("other"), "--memory", "1MiB"}).exit_code,
      4);
  EXPECT_EQ(run_program({"export", model_, "-o", scratch_.path("no/where")}).exit_code, 1);
  EXPECT_THAT(scratch_.names(), ElementsAre("folder", "tiny.gguf"));
}

}  // namespace
}  // namespace enxuto
