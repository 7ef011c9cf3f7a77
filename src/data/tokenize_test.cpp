// From files to tokens: what is learned, what is left out, and that a stream changes nothing.
#include "data/tokenize.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "data/train_bpe.h"
#include "platform/scratch_folder.h"
#include "tokenizer/bpe_training.h"
#include "tokenizer/tiny_vocabulary.h"

namespace enxuto {
namespace {

constexpr const char* kChatMl =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' "
    "}}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

struct Made {
  DataCounts counts;
  std::vector<Token> tokens;
  std::vector<uint8_t> learned;
};

class TokenizeTest : public testing::Test {
 protected:
  TokenizeTest() { use("bpe", "smollm", nlohmann::json::object(), ""); }

  void use(const std::string& family, const std::string& pre, const nlohmann::json& options,
           const std::string& chat) {
    Metadata metadata =
        tiny_metadata(read_testdata("tokenizers.json")["vocabularies"][family], pre, options);
    if (!chat.empty()) metadata.set_string("tokenizer.chat_template", chat);
    metadata_ = metadata;
    tokenizer_ = std::move(Tokenizer::create(metadata_)).value();
  }
  Status write(const std::vector<std::string>& paths, Made& made) {
    ASSIGN_OR_RETURN(made.counts, write_tokens(*tokenizer_, paths, out_, {}));
    ASSIGN_OR_RETURN(const TokenFile file, TokenFile::open(out_));
    EXPECT_EQ(file.n_tokens(), made.counts.tokens);
    EXPECT_EQ(file.counts().learned_tokens, made.counts.learned_tokens);
    made.tokens.resize(file.n_tokens());
    made.learned.resize(file.n_tokens());
    file.read(0, made.tokens);
    file.read_learned(0, made.learned);
    return {};
  }
  Made made_of(const std::vector<std::string>& paths) {
    Made made;
    const Status status = write(paths, made);
    EXPECT_TRUE(status.ok()) << status.what();
    return made;
  }
  // The text with what is learned in [].
  std::string shown(const Made& made) const {
    std::string text;
    for (size_t i = 0; i < made.tokens.size(); i++) {
      const bool before = i > 0 && made.learned[i - 1];
      if (made.learned[i] && !before) text += '[';
      if (!made.learned[i] && before) text += ']';
      text += tokenizer_->piece(made.tokens[i], true);
    }
    return text + (!made.learned.empty() && made.learned.back() ? "]" : "");
  }
  std::string shown_lines(const std::string& lines) {
    return shown(made_of({folder_.write("lines.jsonl", lines)}));
  }
  Token end() const { return tokenizer_->eos(); }

  ScratchFolder folder_;
  std::string out_ = folder_.path("tokens");
  Metadata metadata_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

std::string long_text() {
  std::string text;
  for (int i = 0; text.size() < 3'000'000; i++) {
    text +=
        "Line " + std::to_string(i) + " of a text, in which  spaces and 日本語。また「引用」 stand";
    text += i % 7 == 0 ? ".\n\n" : i % 5 == 0 ? "!\r\n" : i % 3 == 0 ? ".\n" : " ";
    if (i % 1000 == 0) text += std::string(200'000, 'x');
  }
  return text;
}

TEST_F(TokenizeTest, AStreamGivesTheTokensOfTheWholeText) {
  const std::string text = long_text();
  const std::string path = folder_.write("text.txt", text);
  for (const bool spm : {false, true}) {
    for (const std::string pre : {"smollm", "qwen2", "gpt-4o"}) {
      if (spm && pre != "smollm") continue;
      use(spm ? "spm" : "bpe", spm ? "" : pre, nlohmann::json::object(), "");
      std::vector<Token> expected = tokenizer_->encode(text, true, false);
      expected.push_back(end());
      const Made made = made_of({path});
      EXPECT_TRUE(made.tokens == expected) << pre << spm;
      EXPECT_EQ(made.counts.documents, 1u);
      EXPECT_EQ(made.counts.bytes, text.size());
      EXPECT_EQ(made.counts.learned_tokens, made.tokens.size());
    }
  }
}

TEST_F(TokenizeTest, FilesAreDocumentsAndEndInTheEndOfText) {
  folder_.write("d/1.txt", "one");
  folder_.write("d/2.md", "two <|im_end|>");
  folder_.write("d/3.txt", " \n");
  folder_.write("d/4.bin", std::string("\0\1\2", 3));
  folder_.write("d/5.txt", "bad \xff\xfe here and there");
  std::filesystem::create_symlink("1.txt", folder_.path("d/6.txt"));  // the same file again
  const Made made = made_of({folder_.path("d")});
  std::vector<Token> expected;
  for (const char* text : {"one", "two <|im_end|>", "bad \xff\xfe here and there"}) {
    for (const Token token : tokenizer_->encode(text, true, false)) expected.push_back(token);
    expected.push_back(end());
  }
  EXPECT_EQ(made.tokens, expected);
  EXPECT_EQ(made.counts.documents, 3u);
  EXPECT_EQ(made.counts.empty, 1u);
  EXPECT_EQ(made.counts.skipped_files, 1u);
  EXPECT_EQ(made.counts.malformed_bytes, 2u);
}

TEST_F(TokenizeTest, DocumentsBeginWithABosWhereTheTokenizerAddsOne) {
  use("spm", "", {{"add_bos_token", true}}, "");
  const Made made = made_of({folder_.write("a.txt", "text")});
  EXPECT_EQ(made.tokens.front(), tokenizer_->bos());
  EXPECT_EQ(made.tokens.back(), end());
}

TEST_F(TokenizeTest, JsonLinesLearnAnswersOnly) {
  EXPECT_EQ(shown_lines(R"({"text": "all of it"})"), "[all of it<|im_end|>]");
  EXPECT_EQ(shown_lines(R"({"prompt": "Why?", "completion": "So."})"), "Why?\n[So.<|im_end|>]");
  EXPECT_EQ(shown_lines(R"({"prompt": "Why?", "completion": " So."})"), "Why?[ So.<|im_end|>]");
  EXPECT_EQ(shown_lines(R"({"prompt": "a", "completion": "b"})"
                        "\n\n"
                        R"({"text": "c"})"),
            "a\n[b<|im_end|>c<|im_end|>]");
}

TEST_F(TokenizeTest, ConversationsGoThroughTheChatTemplate) {
  use("bpe", "smollm", nlohmann::json::object(), kChatMl);
  const std::string line =
      R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
          {"role": "user", "content": "r<|im_end|>"}, {"role": "assistant", "content": "b"}]})";
  std::string one_line = line;
  std::erase(one_line, '\n');
  EXPECT_EQ(shown_lines(one_line),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>]\n"
            "<|im_start|>user\nr<|im_end|><|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n"
            "<|im_end|>");
  EXPECT_EQ(shown_lines(R"({"instruction": "q", "output": "a"})"),
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>]\n<|im_end|>");
}

TEST_F(TokenizeTest, CorruptLinesAreCountedAndLeftOut) {
  const std::string path = folder_.write(
      "a.jsonl", "{\"text\": \"good\"}\n\nno json\n{\"text\": \"\xff\"}\n" +
                     std::string(kMostLineBytes + 1, 'x') + "\n{\"text\": \"\"}\n{\"a\": 1}\n");
  const Made made = made_of({path});
  EXPECT_EQ(shown(made), "[good<|im_end|>]");
  EXPECT_EQ(made.counts.documents, 1u);
  EXPECT_EQ(made.counts.empty, 2u);
  EXPECT_EQ(made.counts.corrupt, 4u);
  EXPECT_TRUE(made.counts.first_corrupt.starts_with(path + ":3: "));
}

TEST_F(TokenizeTest, WhatATemplateRefusesIsCorrupt) {
  use("bpe", "smollm", nlohmann::json::object(),
      "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
      "{% endif %}{{ m['content'] }}{% endfor %}");
  const Made made = made_of({folder_.write(
      "a.jsonl",
      "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"},"
      "{\"role\": \"assistant\", \"content\": \"a\"}]}\n{\"prompt\": \"q\", \"answer\": \"b\"}")});
  EXPECT_EQ(shown(made), "q[b]<|im_end|>");
  EXPECT_EQ(made.counts.corrupt, 1u);
  EXPECT_NE(made.counts.first_corrupt.find(":1: "), std::string::npos);
}

TEST_F(TokenizeTest, NothingToLearnIsAnErrorThatSaysSo) {
  Made made;
  const Status status = write({folder_.write("a.jsonl", "{}\n\n{}\n")}, made);
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_NE(status.what().find("1 empty, 2 corrupt"), std::string::npos) << status.what();
  EXPECT_NE(status.what().find("a.jsonl:1: "), std::string::npos);
  EXPECT_FALSE(file_exists(out_));
  for (const std::string& path :
       {folder_.write("b.txt", ""), folder_.write("c.txt", std::string("a\0b", 3)),
        folder_.path("none")})
    EXPECT_EQ(write({path}, made).code(), Code::kBadInput) << path;
  EXPECT_EQ(write({}, made).code(), Code::kUsage);
}

TEST_F(TokenizeTest, TheFingerprintTellsWhetherToMakeItAnew) {
  const std::string path = folder_.write("a.txt", "text");
  made_of({path});
  const uint64_t made = TokenFile::open(out_).value().fingerprint();
  EXPECT_EQ(*data_fingerprint(*tokenizer_, {path}), made);
  EXPECT_NE(*data_fingerprint(*tokenizer_, {path, path}), made);
  use("bpe", "qwen2", nlohmann::json::object(), "");
  EXPECT_NE(*data_fingerprint(*tokenizer_, {path}), made);
  use("bpe", "smollm", nlohmann::json::object(), kChatMl);
  EXPECT_NE(*data_fingerprint(*tokenizer_, {path}), made);
  use("bpe", "smollm", nlohmann::json::object(), "");
  EXPECT_EQ(*data_fingerprint(*tokenizer_, {path}), made);
  std::filesystem::last_write_time(
      path, std::filesystem::last_write_time(path) + std::chrono::seconds(1));
  EXPECT_NE(*data_fingerprint(*tokenizer_, {path}), made);
}

TEST_F(TokenizeTest, TellsItsProgress) {
  const std::string path = folder_.write("a.txt", long_text());
  double last = 0;
  int n = 0;
  const auto counts = write_tokens(*tokenizer_, {path}, out_, [&](std::string_view, double done) {
    EXPECT_GT(done, last);
    last = done;
    n++;
  });
  ASSERT_TRUE(counts.ok());
  EXPECT_GT(n, 10);
  EXPECT_GT(last, 0.9);
  EXPECT_LE(last, 1.0);
}

TEST_F(TokenizeTest, ATokenizerIsTrainedOnTheSameTexts) {
  const std::vector<std::string> paths = {
      folder_.write("a.txt", "banana banana"),
      folder_.write("b.jsonl",
                    "{\"text\": \"bandana\"}\nno json\n{\"prompt\": \"band\", "
                    "\"answer\": \"bandit bandit bandit\"}"),
  };
  const auto trained = train_bpe(paths, 270, 0, {});
  ASSERT_TRUE(trained.ok()) << trained.status().what();
  const auto merges = trained->find("tokenizer.ggml.merges")->as_strings();
  EXPECT_EQ((*merges)[0], "a n");
  EXPECT_EQ((*merges)[1], "b an");
  metadata_ = *trained;
  tokenizer_ = std::move(Tokenizer::create(metadata_)).value();
  EXPECT_EQ(shown(made_of({paths[0]})), "[banana banana<|endoftext|>]");
  EXPECT_EQ(train_bpe(paths, 256, 0, {}).status().code(), Code::kUsage);
  EXPECT_EQ(train_bpe({folder_.write("e.txt", "")}, 300, 0, {}).status().code(), Code::kBadInput);
}

}  // namespace
}  // namespace enxuto
