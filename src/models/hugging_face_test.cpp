// Hugging Face folders become the GGUF model that llama.cpp's converter would write. What it writes
// is in testdata/NAME/golden.json, made by tools/golden_hugging_face.py out of its own code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "formats/json.h"
#include "models/architectures.h"
#include "models/bind.h"
#include "models/hf_config.h"
#include "models/model.h"

namespace enxuto {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kTestdata = ENXUTO_SOURCE_DIR "/src/models/testdata/";

struct FolderTensor {
  std::string name;
  std::vector<uint64_t> shape;  // slowest first, as the file has it
  float first = 0;              // values count up from here in steps of 1/16
};

uint64_t count_of(const FolderTensor& t) {
  uint64_t n = 1;
  for (uint64_t dim : t.shape) n *= dim;
  return n;
}

// A safetensors file of F32 tensors.
void write_safetensors(const std::string& path, const std::vector<FolderTensor>& tensors) {
  std::string header = "{", data;
  for (const FolderTensor& t : tensors) {
    std::string shape;
    for (uint64_t dim : t.shape) shape += (shape.empty() ? "" : ",") + std::to_string(dim);
    if (header.size() > 1) header += ",";
    header += "\"" + t.name + "\":{\"dtype\":\"F32\",\"shape\":[" + shape + "],\"data_offsets\":[" +
              std::to_string(data.size()) + ",";
    for (uint64_t i = 0; i < count_of(t); ++i) {
      const float value = t.first + static_cast<float>(i) / 16;
      data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    header += std::to_string(data.size()) + "]}";
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&size), sizeof size) << header << data;
}

// A copy of a testdata folder, with weights for its config.json.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(::testing::TempDir() + "enxuto-hf-" + std::to_string(::getpid()) + "-" + name) {
    fs::remove_all(path_);
    fs::copy(kTestdata + name, path_);
    const auto json = Json::read(path_ + "/config.json", 1 << 20);
    auto config = read_hf_config(json->root, "x");
    auto hyper = read_hyper_parameters(*config->architecture, config->metadata);
    hyper->vocabulary = config->vocabulary;
    const auto add = [&](const std::string& tensor, const TensorRule& rule) {
      const uint64_t columns = length_of(rule.columns, *hyper), rows = length_of(rule.rows, *hyper);
      std::vector<uint64_t> shape = {rows, columns};
      if (rule.rows == Dim::kNone) shape = {columns};
      if (rule.transposed) std::swap(shape[0], shape[1]);
      tensors.push_back({tensor, shape});
    };
    add(kEmbeddingRule.hugging_face, kEmbeddingRule);
    add(kOutputNormRule.hugging_face, kOutputNormRule);
    if (config->architecture->learned_positions) add(kPositionRule.hugging_face, kPositionRule);
    if (config->architecture->norm == Norm::kMeanAndVariance)
      add(kOutputNormBiasRule.hugging_face, kOutputNormBiasRule);
    if (!config->tied) add(kOutputRule.hugging_face, kOutputRule);
    for (uint32_t l = 0; l < hyper->n_layers; ++l)
      for (const TensorRule& rule : config->architecture->layer)
        if (rule.required || config->qkv_bias)
          add("model.layers." + std::to_string(l) + "." + rule.hugging_face, rule);
  }
  ~Folder() { fs::remove_all(path_); }

  FolderTensor& at(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const FolderTensor& t) { return t.name == name; });
  }
  void write() const { write_safetensors(path_ + "/model.safetensors", tensors); }
  void write_file(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }
  Result<std::shared_ptr<const Model>> open() const {
    write();
    return open_model(path_);
  }
  const std::string& path() const { return path_; }

  std::vector<FolderTensor> tensors;

 private:
  std::string path_;
};

void expect_value(const std::string& key, const MetaValue& value, JsonElement golden) {
  SCOPED_TRACE(key);
  bool flag;
  double number;
  std::string_view text;
  simdjson::dom::array list;
  if (!golden.get(flag)) {
    EXPECT_EQ(value.as_bool(), flag);
  } else if (!golden.get(number)) {
    ASSERT_TRUE(value.as_number().has_value());
    EXPECT_NEAR(*value.as_number(), number, 1e-6 * std::abs(number));
  } else if (!golden.get(text)) {
    EXPECT_EQ(value.as_string(), text);
  } else if (!golden.get(list) && list.size() > 0 && list.at(0).is_string()) {
    std::vector<std::string_view> texts;
    for (const JsonElement each : list) texts.push_back(each.get_string().value_unsafe());
    EXPECT_EQ(value.as_strings(), texts);
  } else {
    std::vector<double> numbers;
    for (const JsonElement each : list) numbers.push_back(each.get_double().value_unsafe());
    EXPECT_EQ(value.as_numbers(), numbers);
  }
}

TEST(HuggingFace, MetadataIsTheConvertersOwn) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma3", "gpt2"}) {
    SCOPED_TRACE(name);
    const auto model = Folder(name).open();
    ASSERT_TRUE(model.ok()) << model.status().what();
    const auto golden = Json::read(kTestdata + name + "/golden.json", 1 << 20);
    ASSERT_TRUE(golden.ok());
    simdjson::dom::object keys;
    ASSERT_FALSE(golden->root.get(keys));
    for (const auto& [key, value] : keys) {
      const MetaValue* found = (*model)->metadata.find(key);
      ASSERT_NE(found, nullptr) << key;
      expect_value(std::string(key), *found, value);
    }
    for (const auto& [key, value] : (*model)->metadata.entries())
      EXPECT_TRUE(key.starts_with("general.") || json_at(golden->root, key)) << key << " is extra";
  }
}

TEST(HuggingFace, LlamasQueriesAreReorderedForGguf) {
  const auto model = Folder("llama").open();
  ASSERT_TRUE(model.ok()) << model.status().what();
  const Model& m = **model;
  EXPECT_EQ(m.hyper.rope_layout, RopeLayout::kHalves);
  // numpy: np.arange(16).reshape(2, 2, 4).swapaxes(1, 2).reshape(16), two heads of eight
  const std::vector<uint64_t> want = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
  ASSERT_EQ(m.hyper.key_dim, 8u);
  for (uint64_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(m.emit_row(*m.layers[0].q, i), want[i]);
    EXPECT_EQ(m.emit_row(*m.layers[0].v, i), i);
  }
}

TEST(HuggingFace, GemmasNormsAreOneMore) {
  Folder folder("gemma3");
  folder.at("model.norm.weight").first = 0.5;
  const auto model = folder.open();
  ASSERT_TRUE(model.ok()) << model.status().what();
  const Model& m = **model;
  EXPECT_TRUE(m.tied());
  float first;
  std::memcpy(&first, m.output_norm->data.data(), sizeof first);
  EXPECT_EQ(first, 1.5f);
  EXPECT_NE(m.layers[0].post_ffn_norm, nullptr);
  EXPECT_NE(m.layers[0].ffn_norm, m.layers[0].post_attn_norm);
}

TEST(HuggingFace, ShardsAreJoined) {
  const Folder folder("qwen3");
  const size_t half = folder.tensors.size() / 2;
  write_safetensors(folder.path() + "/a.safetensors",
                    {folder.tensors.begin(), folder.tensors.begin() + half});
  write_safetensors(folder.path() + "/b.safetensors",
                    {folder.tensors.begin() + half, folder.tensors.end()});
  std::string map;
  for (size_t i = 0; i < folder.tensors.size(); ++i)
    map += (i ? ",\"" : "\"") + folder.tensors[i].name + "\":\"" + (i < half ? "a" : "b") +
           ".safetensors\"";
  folder.write_file("model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  const auto model = open_model(folder.path());
  ASSERT_TRUE(model.ok()) << model.status().what();
  EXPECT_EQ((*model)->files.size(), 2u);
  EXPECT_NE((*model)->layers[1].down, nullptr);

  folder.write_file("model.safetensors.index.json", "{\"weight_map\":{\"x\":\"../../secret\"}}");
  EXPECT_THAT(open_model(folder.path()).status().what(), HasSubstr("is in no sound file"));
  folder.write_file("model.safetensors.index.json", "{\"weight_map\":{\"x\":\"a.safetensors\"}}");
  EXPECT_THAT(open_model(folder.path()).status().what(), HasSubstr("lacks tensor x"));
}

TEST(HuggingFace, AConfigAloneIsEnoughToPlan) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma3", "gpt2"}) {
    SCOPED_TRACE(name);
    const Folder folder(name);
    const std::string config = kTestdata + name + "/config.json";
    const auto planned = open_model(config, false);
    ASSERT_TRUE(planned.ok()) << planned.status().what();
    EXPECT_EQ(open_model(config).status().code(), Code::kBadInput);
    const auto whole = folder.open();
    ASSERT_TRUE(whole.ok());
    ASSERT_EQ((*planned)->tensors.size(), (*whole)->tensors.size());
    for (size_t i = 0; i < (*whole)->tensors.size(); ++i) {
      const Tensor &a = (*planned)->tensors[i], &b = (*whole)->tensors[i];
      EXPECT_EQ(a.name, b.name);
      EXPECT_EQ(a.columns(), b.columns());
      EXPECT_EQ(a.rows(), b.rows());
      EXPECT_TRUE(a.data.empty() || a.name == "rope_freqs.weight");
    }
  }
}

TEST(HuggingFace, Gpt2sFirstNamesAreKnownAndItsMatricesTurned) {
  for (const std::string prefix : {"", "transformer."}) {
    Folder folder("gpt2");
    for (FolderTensor& t : folder.tensors)
      for (const auto& [later, first] :
           {std::pair("model.layers.", "h."), std::pair("model.embed_tokens.", "wte."),
            std::pair("model.embed_positions.", "wpe."), std::pair("model.norm.", "ln_f.")})
        if (t.name.starts_with(later)) {
          t.name = prefix + first + t.name.substr(std::string_view(later).size());
          break;
        }
    folder.tensors.push_back({prefix + "h.1.attn.bias", {1, 1, 64, 64}});
    const auto model = folder.open();
    ASSERT_TRUE(model.ok()) << model.status().what();
    const Tensor& up = *(*model)->layers[1].up;
    ASSERT_EQ(up.columns(), 16u);
    ASSERT_EQ(up.rows(), 64u);
    for (const auto& [row, column] : {std::pair(2, 3), std::pair(63, 0), std::pair(40, 15)}) {
      float value;
      std::memcpy(&value, up.row(static_cast<uint64_t>(row)).data() + 4 * column, sizeof value);
      EXPECT_EQ(value, static_cast<float>(column * 64 + row) / 16);
    }
    const auto unread = open_model(folder.path(), false);
    ASSERT_TRUE(unread.ok()) << unread.status().what();
    EXPECT_TRUE((*unread)->layers[1].up->data.empty());
    EXPECT_TRUE((*unread)->owned.empty());
  }
}

TEST(HuggingFace, RelativesOfGpt2AreRefused) {
  for (const auto& [field, said] :
       {std::pair(R"("activation_function": "relu")", "activation 'relu' is not known"),
        std::pair(R"("scale_attn_by_inverse_layer_idx": true)", "scale of its own")}) {
    Folder folder("gpt2");
    folder.write_file(
        "config.json",
        std::string(R"({"architectures": ["GPT2LMHeadModel"], "n_embd": 16, "n_layer": 2,
                                      "n_head": 2, "n_positions": 64, "vocab_size": 261, )") +
            field + "}");
    const Status status = folder.open().status();
    EXPECT_EQ(status.code(), Code::kBadInput);
    EXPECT_THAT(status.what(), HasSubstr(said));
  }
}

TEST(HuggingFace, SaysWhatIsWrong) {
  const struct {
    const char* said;
    std::function<void(Folder&)> spoil;
  } cases[] = {
      {"tensor model.layers.1.mlp.up_proj.weight is missing",
       [](Folder& f) {
         std::erase_if(f.tensors,
                       [](const auto& t) { return t.name == "model.layers.1.mlp.up_proj.weight"; });
       }},
      {"tensor blk.0.attn_q.weight is 16 x 8 instead of 16 x 16",
       [](Folder& f) {
         f.at("model.layers.0.self_attn.q_proj.weight").shape = {8, 16};
       }},
      {"tensor model.layers.0.extra is not part of a llama",
       [](Folder& f) {
         f.tensors.push_back({"model.layers.0.extra", {4}});
       }},
      {"architecture 'BertModel' is not known",
       [](Folder& f) { f.write_file("config.json", R"({"architectures": ["BertModel"]})"); }},
      {"config.json lacks num_hidden_layers",
       [](Folder& f) {
         f.write_file("config.json", R"({"architectures": ["LlamaForCausalLM"]})");
       }},
      {"not sound JSON", [](Folder& f) { f.write_file("config.json", "{\"a\": "); }},
      {"not sound JSON", [](Folder& f) { f.write_file("tokenizer.json", "[1, 2"); }},
      {"a model of type 'Unigram' is not known",
       [](Folder& f) { f.write_file("tokenizer.json", R"({"model": {"type": "Unigram"}})"); }},
      {"token 9999999 is outside",
       [](Folder& f) {
         f.write_file("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 9999999}}})");
       }},
      {"its pre_tokenizer is not known",
       [](Folder& f) {
         f.write_file("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {}, "merges": []}})");
       }},
      {"holds no tokenizer.json", [](Folder& f) { fs::remove(f.path() + "/tokenizer.json"); }},
  };
  for (const auto& each : cases) {
    Folder folder("llama");
    each.spoil(folder);
    const Status status = folder.open().status();
    EXPECT_EQ(status.code(), Code::kBadInput) << each.said;
    EXPECT_THAT(status.what(), HasSubstr(each.said));
    EXPECT_FALSE(status.todo().empty()) << each.said;
  }
}

}  // namespace
}  // namespace enxuto
