// A folder that export writes holds what the GGUF file holds: read back, the same numbers bit for
// bit, the same tokens, the same answers. (That transformers gives them too, tools/check_export.py
// shows.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "infer/session.h"
#include "models/hf_export.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kSmallShards = 300'000;

Result<ExportReport> export_to(const std::string& folder, const Model& model, Type type,
                               uint64_t shard_bytes = kShardBytes) {
  ThreadTeam team(2);
  std::vector<uint64_t> working(export_working_bytes(model) / 8 + 1);
  return export_model(model, type, folder, shard_bytes,
                      {reinterpret_cast<uint8_t*>(working.data()), working.size() * 8}, team, {});
}

std::vector<float> row_of(const Tensor& tensor, uint64_t row) {
  std::vector<float> values(tensor.columns());
  tensor.codec().decode(tensor.row(row).data(), values.data(), values.size());
  return values;
}

// In the order of a GGUF file, matrices as numbers of `type`.
std::vector<float> values_of(const Model& model, const Tensor& tensor, Type type) {
  std::vector<float> all;
  if (tensor.n_dims == 1) {
    const std::vector<float> row = row_of(tensor, 0);
    for (size_t i = 0; i < row.size(); ++i) all.push_back(row[model.emit_row(tensor, i)]);
    return all;
  }
  for (uint64_t i = 0; i < tensor.rows(); ++i) {
    std::vector<float> row = row_of(tensor, model.emit_row(tensor, i));
    std::vector<uint8_t> encoded(find_codec(type)->row_bytes(row.size()));
    find_codec(type)->encode(row.data(), nullptr, encoded.data(), row.size());
    find_codec(type)->decode(encoded.data(), row.data(), row.size());
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

std::vector<float> logits_of(const std::shared_ptr<const Model>& model) {
  InferenceRequest request;
  request.context = 32, request.batch = 6;
  auto session = Session::open(model, request);
  EXPECT_TRUE(session.ok()) << session.status().what();
  const std::vector<Token> tokens = {10, 200, 31, 4, 77, 123, 9, 250, 18, 66, 5, 101, 44, 17, 3};
  const auto logits = (*session)->feed(tokens);
  EXPECT_TRUE(logits.ok()) << logits.status().what();
  return {logits->begin(), logits->end()};
}

class Export : public testing::TestWithParam<TinyOptions> {
 protected:
  ScratchFolder scratch_;
  std::string folder_ = scratch_.path("folder");
};

TEST_P(Export, HoldsTheSameNumbersBitForBit) {
  for (const auto& [from, to] :
       {std::pair{Type::F32, Type::F32}, {Type::Q8_0, Type::BF16}, {Type::F16, Type::F16}}) {
    SCOPED_TRACE(find_codec(from)->name);
    const ScratchFolder scratch;
    const TemporaryModel file(tiny_model(GetParam()), from);
    EXPECT_EQ(export_type(*file.get()), to);
    const auto report = export_to(scratch.path("folder"), *file.get(), to, kSmallShards);
    ASSERT_TRUE(report.ok()) << report.status().what();
    EXPECT_GT(report->shards, 1u);
    const auto back = open_model(scratch.path("folder"));
    ASSERT_TRUE(back.ok()) << back.status().what();
    ASSERT_EQ((*back)->tensors.size(), file.get()->tensors.size());
    for (const Tensor& tensor : file.get()->tensors) {
      const Tensor* found = (*back)->find(tensor.name);
      ASSERT_TRUE(found) << tensor.name;
      EXPECT_EQ(found->type, tensor.n_dims > 1 ? to : Type::F32);
      EXPECT_EQ(values_of(**back, *found, to), values_of(*file.get(), tensor, to)) << tensor.name;
    }
  }
}

TEST_P(Export, AnswersAndReadsTextAsItsGgufFile) {
  const TemporaryModel file(tiny_model(GetParam()), Type::F32);
  ASSERT_TRUE(export_to(folder_, *file.get(), Type::F32).ok());
  const auto back = open_model(folder_);
  ASSERT_TRUE(back.ok()) << back.status().what();
  const auto logits = logits_of(*back), expected = logits_of(file.get());
  ASSERT_EQ(logits.size(), expected.size());
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], expected[i], 2e-3f);
  const auto tokenizer = Tokenizer::create((*back)->metadata),
             original = Tokenizer::create(file.get()->metadata);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().what();
  const std::string text = "<|im_start|>the tone\n of 12 and another's ñ<|im_end|>";
  EXPECT_EQ((*tokenizer)->encode(text, true, true), (*original)->encode(text, true, true));
  EXPECT_EQ((*tokenizer)->eos(), (*original)->eos());
  EXPECT_EQ((*back)->metadata.string_at("tokenizer.chat_template"),
            file.get()->metadata.string_at("tokenizer.chat_template"));
}

// A folder is written as it is, too.
TEST_P(Export, AFolderStaysWhatItIs) {
  const TemporaryModel source(tiny_model(GetParam()));
  ASSERT_TRUE(export_to(folder_, *source.get(), Type::F32).ok());
  const auto back = open_model(folder_);
  ASSERT_TRUE(back.ok()) << back.status().what();
  for (const Tensor& tensor : source.get()->tensors)
    EXPECT_EQ(values_of(**back, *(*back)->find(tensor.name), Type::F32),
              values_of(*source.get(), tensor, Type::F32))
        << tensor.name;
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, Export, testing::ValuesIn(folder_models()),
                         [](const auto& test) { return name_of(test.param); });

class ExportRefuses : public testing::Test {
 protected:
  ScratchFolder scratch_;
  std::string folder_ = scratch_.path("folder");
};

TEST_F(ExportRefuses, WhatTransformersCannotLoad) {
  const TemporaryModel uneven(TinyOptions{.architecture = "deci"}, Type::F32),
      factors(TinyOptions{.architecture = "llama"}, Type::F32);
  for (const auto& [model, why] :
       {std::pair{&uneven, "layers differ"}, {&factors, "rope factors"}}) {
    const Status status = export_to(folder_, *model->get(), Type::F32).status();
    EXPECT_EQ(status.code(), Code::kBadInput);
    EXPECT_THAT(status.what(), HasSubstr(why));
  }
  EXPECT_THAT(scratch_.names(), IsEmpty());
}

TEST_F(ExportRefuses, NumbersTooLargeForF16AndFoldersThatAreThere) {
  TinyModel tiny = tiny_model({.architecture = "llama", .rope_factors = false});
  tiny.find("output.weight")->values[5] = 1e5f;
  const TemporaryModel file(tiny, Type::F32);
  const Status large = export_to(folder_, *file.get(), Type::F16).status();
  EXPECT_EQ(large.code(), Code::kFailed);
  EXPECT_THAT(large.todo(), HasSubstr("--type bf16"));
  EXPECT_THAT(scratch_.names(), IsEmpty());
  scratch_.write("folder/precious.txt", "x");
  EXPECT_EQ(export_to(folder_, *file.get(), Type::F32).status().code(), Code::kUsage);
  EXPECT_THAT(scratch_.names(), testing::ElementsAre("folder"));
}

}  // namespace
}  // namespace enxuto
