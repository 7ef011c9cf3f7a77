// What goes wrong outside the program: one line what, one line what to do, and the exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "inputs.h"
#include "program.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

using testing::HasSubstr;

class Errors : public testing::Test {
 protected:
  void SetUp() override { write_tiny_llama(model_); }

  // One error of at most two lines, and nothing on standard output.
  static Outcome expect_error(int exit_code, const Invocation& invocation) {
    const Outcome outcome = run_program(invocation);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.error.substr(0, 8), "enxuto: ");
    EXPECT_LE(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 2) << outcome.error;
    return outcome;
  }
  static Outcome expect_error(int exit_code, std::vector<std::string> arguments) {
    return expect_error(exit_code, Invocation{std::move(arguments)});
  }

  ScratchFolder scratch_;
  std::string model_ = scratch_.path("tiny.gguf");
};

TEST_F(Errors, WrongUseExits2) {
  expect_error(2, std::vector<std::string>());
  expect_error(2, {"shrink", model_});
  expect_error(2, {"inspect"});
  expect_error(2, {"inspect", model_, "--no-such-option"});
  expect_error(2, {"plan", model_, "--memory", "banana"});
  expect_error(2, {"plan", model_, "--memory", "0"});
  expect_error(2, {"plan", model_, "--context", "-5"});
  expect_error(2, {"plan", model_, "--for", "flying"});
  expect_error(2, {"run", model_, "-p", "x", "--temp", "nan"});
  expect_error(2, {"run", model_, "-p", "x", "-t", "0"});
  expect_error(2, {"run", model_, "-p", "x", "--top-p", "1.5"});
  expect_error(2, {"run", model_, "-p", "x", "--stop", ""});
  expect_error(2, {"run", model_, "-p", "x", "--seed", "many"});
  expect_error(2, {"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "12XB"});
}

TEST_F(Errors, AMissingModelExits3) {
  for (const char* command : {"inspect", "plan", "run", "bench"}) {
    const Outcome outcome = expect_error(3, Invocation{{command, scratch_.path("none.gguf")}, "x"});
    EXPECT_THAT(outcome.error, HasSubstr("none.gguf"));
  }
  scratch_.write("empty.gguf", "");
  expect_error(3, {"inspect", scratch_.path("empty.gguf")});
  scratch_.write("picture.gguf", "\x89PNG\r\n and so on, for more than a header's length");
  expect_error(3, {"inspect", scratch_.path("picture.gguf")});
}

TEST_F(Errors, ATruncatedModelExits3WhereverItIsCut) {
  const std::string whole = read_whole(model_);
  for (const double share : {0.0001, 0.001, 0.01, 0.5, 0.9999}) {
    const auto size = static_cast<size_t>(static_cast<double>(whole.size()) * share);
    scratch_.write("cut.gguf", whole.substr(0, size));
    expect_error(3, {"run", scratch_.path("cut.gguf"), "-p", "x"});
  }
}

// A sound GGUF file whose model is none.
struct Lie {
  const char* said;  // part of the message
  std::function<void(TinyModel&, Metadata&)> tell;
};

template <class Set>
Lie of_key(const char* said, Set set) {
  return {said, [set](TinyModel&, Metadata& m) { set(m); }};
}
Lie of_count(const char* said, const char* key, uint32_t value) {
  return of_key(said, [=](Metadata& m) { m.set_u32(std::string("llama.") + key, value); });
}
Lie of_number(const char* said, const char* key, float value) {
  return of_key(said, [=](Metadata& m) { m.set_f32(std::string("llama.") + key, value); });
}
Lie of_text(const char* said, const char* key, const char* value) {
  return of_key(said, [=](Metadata& m) { m.set_string(key, value); });
}
Lie without(const char* said, const char* key) {
  return of_key(said, [=](Metadata& m) { m.erase(key); });
}
Lie of_layers(const char* said, const char* key, std::vector<int32_t> values) {
  return of_key(said, [=](Metadata& m) { m.set_i32s(key, values); });
}
Lie of_shape(const char* said, const char* name, std::vector<uint64_t> shape) {
  return {said, [=](TinyModel& model, Metadata&) {
            TinyTensor& tensor = *model.find(name);
            tensor.shape = shape;
            size_t count = 1;
            for (const uint64_t side : shape) count *= side;
            tensor.values.resize(count);
          }};
}

const Lie kLies[] = {
    of_count("llama.block_count is not a number from 1", "block_count", 0),
    of_count("llama.block_count is not a number from 1", "block_count", 4'000'000'000),
    of_count("4096 layers, but only 22 tensors", "block_count", 4096),
    of_count("tensor blk.2.attn_norm.weight is missing", "block_count", 3),
    of_count("tensor blk.1.attn_k.weight is not part of a llama", "block_count", 1),
    of_count("llama.embedding_length is not a number from 1", "embedding_length", 0),
    of_count("token_embd.weight is 64 x 288 instead of 96 x 288", "embedding_length", 96),
    of_count("llama.feed_forward_length is not a number from 1", "feed_forward_length", 0),
    of_count("ffn_gate.weight is 64 x 128 instead of 64 x 96", "feed_forward_length", 96),
    of_count("llama.context_length is not a number from 1", "context_length", 0),
    of_count("llama.attention.head_count is not a number from 1", "attention.head_count", 0),
    of_count("llama.attention.head_count is not a number", "attention.head_count", 1u << 31),
    of_count("3 heads cannot share 2 key/value heads", "attention.head_count", 3),
    of_count("llama.attention.head_count_kv is not a number", "attention.head_count_kv", 0),
    of_count("4 heads cannot share 3 key/value heads", "attention.head_count_kv", 3),
    of_count("attn_q.weight is 64 x 64 instead of 64 x 128", "attention.head_count", 8),
    of_count("heads of 32 (keys) and 16 (values)", "attention.key_length", 32),
    of_count("rope over 15 of 16 values", "rope.dimension_count", 15),
    of_count("rope over 32 of 16 values", "rope.dimension_count", 32),
    of_count("the metadata has no llama.expert_used_count", "expert_count", 8),
    of_count("a mixture of one expert", "expert_count", 1),
    of_count("llama.expert_count is not a number from 0", "expert_count", 1u << 31),
    of_layers("llama.attention.head_count differs from layer to layer",
              "llama.attention.head_count", {4, 2}),
    of_number("llama.attention.layer_norm_rms_epsilon is not", "attention.layer_norm_rms_epsilon",
              NAN),
    of_number("llama.rope.freq_base is not a number from", "rope.freq_base", 0),
    of_number("llama.rope.freq_base is not a number from", "rope.freq_base", INFINITY),
    of_number("llama.rope.scaling.factor is not a number from", "rope.scaling.factor", -1),
    of_text("rope scaling 'yarn' is not known yet", "llama.rope.scaling.type", "yarn"),
    of_text("llama.block_count is not a number", "llama.block_count", "two"),
    of_text("architecture 'mamba' is not known", "general.architecture", "mamba"),
    of_text("the metadata has no qwen2.block_count", "general.architecture", "qwen2"),
    of_text("unknown tokenizer 't5'", "tokenizer.ggml.model", "t5"),
    of_text("not-a-splitter", "tokenizer.ggml.pre", "not-a-splitter"),
    of_text("tokenizer.ggml.tokens is not a list of strings", "tokenizer.ggml.tokens", "the"),
    without("does not name its architecture", "general.architecture"),
    without("the metadata has no llama.attention.head_count", "llama.attention.head_count"),
    without("the file has no tokenizer", "tokenizer.ggml.model"),
    without("the file has no tokenizer.ggml.tokens", "tokenizer.ggml.tokens"),
    without("the file has no tokenizer.ggml.merges", "tokenizer.ggml.merges"),
    of_key("the tokenizer has 2 tokens, token_embd.weight 288 rows",
           [](Metadata& m) {
             m.set_strings("tokenizer.ggml.tokens", {"a", "b"});
           }),
    of_key("tokenizer.ggml.token_type is not a number for every token",
           [](Metadata& m) {
             m.set_i32s("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1});
           }),
    of_shape("output_norm.weight is 32 x 1 instead of 64 x 1", "output_norm.weight", {32}),
    of_shape("blk.0.attn_q.weight is 128 x 32 instead of 64 x 64", "blk.0.attn_q.weight",
             {128, 32}),
    of_shape("output.weight is 64 x 288 instead of 64 x 100", "token_embd.weight", {64, 100}),
    {"tensor blk.1.ffn_up.weight is missing",
     [](TinyModel& model, Metadata&) { model.find("blk.1.ffn_up.weight")->name = "blk.1.x"; }},
    {"tensor token_embd.weight is missing",
     [](TinyModel& model, Metadata&) { model.tensors.erase(model.tensors.begin()); }},
    {"tensor blk.0.ffn_gate_exps.weight is not part of a llama",
     [](TinyModel& model, Metadata&) {
       model.tensors.push_back({"blk.0.ffn_gate_exps.weight", {32}, std::vector<float>(32)});
     }},
};

// Of layers that differ: their heads are 4, 2, 0, 2, of keys and values 2, 2, 0, 1.
constexpr const char *kFfn = "deci.feed_forward_length", *kHeads = "deci.attention.head_count",
                     *kKvHeads = "deci.attention.head_count_kv";
const Lie kUnevenLies[] = {
    of_layers("layer 1 has heads without keys and values", kKvHeads, {2, 0, 0, 1}),
    of_layers("layer 2: 0 heads cannot share 1 key/value heads", kKvHeads, {2, 2, 1, 1}),
    of_layers("layer 1: 3 heads cannot share 2 key/value heads", kHeads, {4, 3, 0, 2}),
    of_layers("layer 2 has no feed-forward network", kFfn, {128, 64, 0, 96}),
    of_layers("deci.attention.head_count has 3 numbers for 4 layers", kHeads, {4, 2, 0}),
    of_layers("deci.feed_forward_length has 5 numbers for 4 layers", kFfn, {64, 64, 64, 64, 64}),
    of_layers("deci.attention.head_count_kv has 0 numbers for 4 layers", kKvHeads, {}),
    of_layers("deci.attention.head_count is not a number from 0 to", kHeads, {4, -2, 0, 2}),
    of_layers("deci.attention.head_count is not a number from 0 to", kHeads, {4, 1 << 30, 0, 2}),
    of_key("deci.attention.head_count is not a number from 0 to",
           [](Metadata& m) {
             m.set_f32s(kHeads, std::vector<float>{4, 2.5, 0, 2});
           }),
    of_key("deci.feed_forward_length is not a number from 0 to",
           [](Metadata& m) {
             m.set_f32s(kFfn, std::vector<float>{128, NAN, 128, 96});
           }),
    of_text("deci.attention.head_count is not a number from 0 to", kHeads, "many"),
    without("the metadata has no deci.attention.head_count", kHeads),
    of_key("no layer has attention",
           [](Metadata& m) {
             m.set_u32(kHeads, 0);
             m.set_u32(kKvHeads, 0);
           }),
    of_key("the metadata has no deci.attention.key_length",
           [](Metadata& m) {
             m.set_i32s(kHeads, std::vector<int32_t>{0, 2, 0, 2});
             m.set_i32s(kKvHeads, std::vector<int32_t>{0, 2, 0, 1});
             m.erase("deci.attention.key_length");
           }),
    of_key("tensor blk.1.attn_k.weight is not part of a deci",
           [](Metadata& m) {
             m.set_i32s(kHeads, std::vector<int32_t>{4, 0, 0, 2});
             m.set_i32s(kKvHeads, std::vector<int32_t>{2, 0, 0, 1});
           }),
    of_layers("blk.1.ffn_gate.weight is 64 x 64 instead of 64 x 128", kFfn, {128, 128, 128, 96}),
    of_layers("blk.3.attn_k.weight is 64 x 32 instead of 64 x 64", kKvHeads, {2, 2, 0, 2}),
    of_shape("blk.1.attn_output.weight is 128 x 64 instead of 64 x 64", "blk.1.attn_output.weight",
             {128, 64}),
    {"tensor blk.1.attn_norm.weight is missing",
     [](TinyModel& model, Metadata&) { model.find("blk.1.attn_norm.weight")->name = "blk.1.x"; }},
};

// Of 8 experts, 3 of them for a token.
Lie of_mixture(const char* said, const char* key, uint32_t value) {
  return of_key(said, [=](Metadata& m) { m.set_u32(std::string("qwen3moe.") + key, value); });
}
const Lie kMixedLies[] = {
    of_mixture("qwen3moe.expert_count is not a number from 2", "expert_count", 0),
    of_mixture("qwen3moe.expert_count is not a number from 2", "expert_count", 1),
    of_mixture("qwen3moe.expert_count is not a number from 2", "expert_count", 4'000'000'000),
    of_mixture("ffn_gate_inp.weight is 64 x 8 instead of 64 x 9", "expert_count", 9),
    of_mixture("expert_used_count is not a number from 1 to 8", "expert_used_count", 9),
    of_mixture("expert_used_count is not a number from 1 to 8", "expert_used_count", 0),
    of_mixture("ffn_gate_exps.weight is 64 x 64 x 8 instead of 64 x 32 x 8",
               "expert_feed_forward_length", 32),
    of_mixture("expert_feed_forward_length is not a number from 0", "expert_feed_forward_length",
               1u << 30),
    of_mixture("experts in groups", "expert_group_count", 2),
    without("the metadata has no qwen3moe.expert_count", "qwen3moe.expert_count"),
    without("the metadata has no qwen3moe.expert_used_count", "qwen3moe.expert_used_count"),
    of_shape("blk.1.ffn_down_exps.weight is 64 x 64 x 7 instead of 64 x 64 x 8",
             "blk.1.ffn_down_exps.weight", {64, 64, 7}),
    of_shape("blk.1.ffn_up_exps.weight is 64 x 512 instead of 64 x 64 x 8",
             "blk.1.ffn_up_exps.weight", {64, 512}),
    {"tensor blk.1.ffn_gate_inp.weight is missing",
     [](TinyModel& model, Metadata&) { model.find("blk.1.ffn_gate_inp.weight")->name = "x"; }},
    {"tensor blk.0.ffn_up_exps.scale is not part of a qwen3moe",
     [](TinyModel& model, Metadata&) {
       model.tensors.push_back({"blk.0.ffn_up_exps.scale", {8}, std::vector<float>(8)});
     }},
};

class Liars : public Errors {
 protected:
  void expect_refused(const TinyOptions& options, const Lie& lie) {
    SCOPED_TRACE(lie.said);
    TinyModel model = tiny_model(options);
    Metadata metadata = tiny_metadata(model);
    lie.tell(model, metadata);
    const Status written = write_tiny_gguf(model, metadata, Type::F32, model_);
    ASSERT_TRUE(written.ok()) << written.what();
    EXPECT_THAT(expect_error(3, {"run", model_, "-p", "x"}).error, HasSubstr(lie.said));
  }
};

TEST_F(Liars, Exit3) {
  for (const Lie& lie : kLies) expect_refused({.width = 64, .n_layers = 2}, lie);
}

TEST_F(Liars, OfLayersThatDifferExit3) {
  for (const Lie& lie : kUnevenLies) expect_refused({.architecture = "deci", .width = 64}, lie);
}

TEST_F(Liars, OfExpertsExit3) {
  for (const Lie& lie : kMixedLies)
    expect_refused({.architecture = "qwen3moe", .width = 64, .n_layers = 2}, lie);
}

TEST_F(Errors, WhatMixturesOfExpertsCannotYetIsSaid) {
  ASSERT_TRUE(write_tiny_gguf(tiny_model({.architecture = "mixtral"}), Type::F16, model_).ok());
  const std::string text = scratch_.write("text.txt", sample_text(6000));
  const std::string out = scratch_.path("o.gguf");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"train", "--data", text, "-o", out, "--hours", "1",
                                 "--architecture", "qwen3moe"},
        {"train", "--data", text, "-o", out, "--params", "1M", "--architecture", "gpt2",
         "--experts", "4"},
        {"train", "--data", text, "-o", out, "--params", "1M", "--experts", "4", "--experts-used",
         "5"},
        {"train", model_, "--data", text, "-o", out, "--experts", "4"},
        {"compress", model_, "-o", out, "--size", "300K", "--effort", "best"}})
    EXPECT_THAT(expect_error(2, arguments).error, HasSubstr("xperts"));
  EXPECT_THAT(expect_error(3, {"export", model_, "-o", scratch_.path("folder")}).error,
              HasSubstr("folders of mixtures of experts are not written yet"));
  std::filesystem::create_directory(scratch_.path("folder"));
  scratch_.write("folder/config.json",
                 R"({"architectures": ["Qwen3MoeForCausalLM"], "num_experts": 128})");
  EXPECT_THAT(expect_error(3, {"inspect", scratch_.path("folder")}).error,
              HasSubstr("mixtures of experts are not read from folders yet"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(Errors, AModelWithoutNumbersExits3AndItsTensorIsNamed) {
  const std::string text = scratch_.write("text.txt", sample_text(6000));
  for (const std::string name : {"blk.1.ffn_norm.weight", "blk.1.ffn_down.weight"}) {
    TinyModel damaged = tiny_model({});
    damaged.find(name)->values[5] = NAN;
    ASSERT_TRUE(write_tiny_gguf(damaged, Type::F32, model_).ok());
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"run", model_, "-p", "the"},
          {"eval", model_, text},
          {"bench", model_},
          {"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "300K", "--json"}})
      EXPECT_THAT(expect_error(3, arguments).error, HasSubstr("tensor " + name));
  }
}

TEST_F(Errors, EmptyAndBinaryTextsExit3) {
  const std::string empty = scratch_.write("empty.txt", ""), blank = scratch_.write("b.txt", " \n");
  for (const std::string& text : {empty, blank, model_, scratch_.path("none.txt")}) {
    expect_error(3, {"eval", model_, text});
    expect_error(3, {"compress", model_, "-o", scratch_.path("o.gguf"), "--size", "300K",
                     "--calibration", text});
  }
  expect_error(3, {"eval", model_, scratch_.write("short.txt", "too short")});
  expect_error(3, Invocation{{"run", model_}, ""});
  expect_error(3, Invocation{{"run", model_}, std::string("a\0b", 3)});
}

TEST_F(Errors, WhatDoesNotFitExits4) {
  const std::string text = scratch_.write("text.txt", sample_text(3000));
  expect_error(4, {"run", model_, "-p", "x", "--memory", "1M"});
  expect_error(4, {"bench", model_, "--memory", "1M"});
  expect_error(4, {"eval", model_, text, "--memory", "1M"});
  const Outcome outcome =
      expect_error(4, {"run", model_, "-p", sample_text(600), "--context", "64"});
  EXPECT_THAT(outcome.error, HasSubstr("context"));
}

TEST_F(Errors, AFullOutputIsNoticed) {
  for (std::vector<std::string> arguments :
       {std::vector<std::string>{"inspect", model_, "--json", "--tensors"},
        {"run", model_, "-p", "the", "-n", "8"}}) {
    const Outcome outcome =
        run_program(Invocation{.arguments = arguments, .output_file = "/dev/full"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.error, HasSubstr("cannot write the output"));
  }
}

}  // namespace
}  // namespace enxuto
