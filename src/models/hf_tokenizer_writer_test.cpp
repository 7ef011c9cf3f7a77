// What is written for Hugging Face is read back as the same tokenizer: it gives the ids that stock
// llama.cpp gives by the original. (That Hugging Face's own does, tools/check_export.py shows.)
#include "models/hf_tokenizer_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/json.h"
#include "models/hf_tokenizer.h"
#include "platform/scratch_folder.h"
#include "tokenizer/tiny_vocabulary.h"

namespace enxuto {
namespace {

using testing::HasSubstr;

std::string from_hex(const std::string& hex) {
  std::string text;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return text;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

class WrittenTokenizer : public testing::Test {
 protected:
  Status write_folder(const Metadata& metadata) {
    ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(folder_.path("tokenizer.json"), true));
    TRY(write_hf_tokenizer(metadata, out));
    TRY(out.commit());
    ASSIGN_OR_RETURN(const std::string config, hf_tokenizer_config(metadata, 512));
    write(folder_.path("tokenizer_config.json"), config);
    return {};
  }
  Result<Metadata> read_back(const Metadata& metadata) {
    Metadata back;
    back.set_string("general.architecture", "llama");
    const auto ids = Json::parse("{}");
    const auto n = static_cast<uint32_t>(metadata.find("tokenizer.ggml.tokens")->count);
    TRY(read_hf_tokenizer(folder_.path(), ids->root, n, back));
    return back;
  }
  ScratchFolder folder_;
};

TEST_F(WrittenTokenizer, GivesTheSameIds) {
  size_t checked = 0;
  const nlohmann::json& goldens = tokenizer_goldens();
  for (const auto& example : goldens["cases"]) {
    const std::string pre = example["pre"], vocabulary = example["vocabulary"];
    SCOPED_TRACE(vocabulary + " " + pre + example["options"].dump());
    const Metadata metadata =
        tiny_metadata(goldens["vocabularies"][vocabulary], pre, example["options"]);
    const Status written = write_folder(metadata);
    if (written.code() == Code::kBadInput) {
      EXPECT_THAT(written.what(), HasSubstr("no known counterpart"));
      continue;
    }
    ASSERT_TRUE(written.ok()) << written.what();
    if (pre == "dbrx") continue;  // read as llama-bpe, which keeps whole words that are tokens
    const auto back = read_back(metadata);
    ASSERT_TRUE(back.ok()) << back.status().what();
    const auto tokenizer = Tokenizer::create(*back);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().what();
    for (size_t i = 0; i < goldens["texts_hex"].size(); ++i, ++checked) {
      const std::string text = from_hex(goldens["texts_hex"][i]);
      EXPECT_EQ((*tokenizer)->encode(text, true, true), example["special"][i]) << text;
    }
  }
  EXPECT_GT(checked, 200u);
}

TEST_F(WrittenTokenizer, KeepsItsTemplates) {
  const nlohmann::json& goldens = tokenizer_goldens();
  Metadata metadata = tiny_metadata(goldens["vocabularies"]["bpe"], "smollm", {});
  metadata.set_string("tokenizer.chat_template", "{{ \"a\" }}\n");
  metadata.set_strings("tokenizer.chat_templates", {"tool_use"});
  metadata.set_string("tokenizer.chat_template.tool_use", "b");
  ASSERT_TRUE(write_folder(metadata).ok());
  const auto back = read_back(metadata);
  ASSERT_TRUE(back.ok()) << back.status().what();
  for (const char* key : {"tokenizer.chat_template", "tokenizer.chat_template.tool_use"})
    EXPECT_EQ(back->string_at(key), metadata.string_at(key)) << key;
}

}  // namespace
}  // namespace enxuto
