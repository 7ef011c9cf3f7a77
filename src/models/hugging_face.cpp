#include "models/hugging_face.h"

#include <fmt/format.h>

#include <filesystem>
#include <unordered_map>

#include "formats/safetensors.h"
#include "models/hf_config.h"
#include "models/hf_tokenizer.h"

namespace enxuto {
namespace {

constexpr uint64_t kMaxConfigBytes = 4 << 20;

struct Source {
  std::string folder, config_path;
};

Source source_of(const std::string& path) {
  if (is_directory(path)) return {path, path + "/config.json"};
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return {parent.empty() ? "." : parent, path};
}

std::string name_of(const std::string& folder) {
  std::error_code error;
  const auto whole = std::filesystem::weakly_canonical(folder, error);
  const std::string name = error ? std::string() : whole.filename().string();
  return name.empty() ? "model" : name;
}

std::string hugging_face_name(uint32_t layer, const TensorRule& rule) {
  return fmt::format("model.layers.{}.{}", layer, rule.hugging_face);
}

// Multimodal models keep their language part under a name of its own, in one of two places.
std::string language_name(const std::string& name) {
  for (const char* prefix : {"model.language_model.", "language_model.model."})
    if (name.starts_with(prefix))
      return "model." + name.substr(std::char_traits<char>::length(prefix));
  return name == "language_model.lm_head.weight" ? "lm_head.weight" : name;
}

bool not_language(const std::string& name) {
  return name.find("vision_tower.") != std::string::npos ||
         name.find("multi_modal_projector.") != std::string::npos ||
         name.ends_with(".rotary_emb.inv_freq");
}

// Takes the folder's tensors over into the model, one by one, under their GGUF names.
class Taker {
 public:
  Taker(const HfConfig& config, Model& model) : config_(config), model_(model) {}

  Status load(SafetensorsFile file) {
    model_.files = std::move(file.files);
    for (Tensor& t : file.tensors) {
      if (not_language(t.name)) continue;
      t.name = language_name(t.name);
      if (config_.tied && t.name == kOutputRule.hugging_face) continue;
      std::string name = t.name;
      if (!by_name_.emplace(name, std::move(t)).second)
        return Status::bad_input(fmt::format("tensor {} appears twice", name));
    }
    for (const auto& f : model_.files) model_.file_bytes += f->bytes().size();
    return {};
  }

  Status take(const std::string& from, const std::string& to, bool required, bool plus_one) {
    auto node = by_name_.extract(from);
    if (node.empty()) {
      if (!required) return {};
      return Status::bad_input(fmt::format("tensor {} is missing", from),
                               "download the folder again");
    }
    Tensor t = std::move(node.mapped());
    t.name = to;
    if (plus_one) TRY(add_one(t));
    model_.tensors.push_back(std::move(t));
    return {};
  }

  Status refuse_leftovers() const {
    if (by_name_.empty()) return {};
    std::string_view name = by_name_.begin()->first;
    for (const auto& [other, tensor] : by_name_) name = std::min<std::string_view>(name, other);
    return Status::bad_input(fmt::format("tensor {} is not part of a {} as enxuto knows it",
                                         name.substr(0, 80), config_.architecture->name),
                             "use a model without additions");
  }

 private:
  // Norms that are stored as their distance from one.
  Status add_one(Tensor& t) {
    if (t.n_dims != 1 || !t.codec().decode)
      return Status::bad_input(fmt::format("tensor {} is no norm", t.name));
    auto bytes = std::make_shared<std::vector<uint8_t>>(t.count() * sizeof(float));
    auto* floats = reinterpret_cast<float*>(bytes->data());
    t.codec().decode(t.data.data(), floats, t.count());
    for (uint64_t i = 0; i < t.count(); ++i) floats[i] += 1.0f;
    t.data = *bytes;
    t.type = Type::F32;
    model_.owned.push_back(std::move(bytes));
    return {};
  }

  const HfConfig& config_;
  Model& model_;
  std::unordered_map<std::string, Tensor> by_name_;
};

void add_rope_factors(const HfConfig& config, Model& model) {
  if (config.rope_factors.empty()) return;
  const auto* bytes = reinterpret_cast<const uint8_t*>(config.rope_factors.data());
  model.owned.push_back(std::make_shared<std::vector<uint8_t>>(
      bytes, bytes + config.rope_factors.size() * sizeof(float)));
  Tensor t;
  t.name = kRopeFactorsRule.gguf;
  t.n_dims = 1;
  t.shape[0] = config.rope_factors.size();
  t.data = *model.owned.back();
  model.tensors.push_back(std::move(t));
}

// The embedding first, then the layers in the order of the computation, then the head.
Status take_tensors(const HfConfig& config, SafetensorsFile file, Model& model) {
  const Architecture& a = *config.architecture;
  Taker taker(config, model);
  TRY(taker.load(std::move(file)));
  TRY(taker.take(kEmbeddingRule.hugging_face, kEmbeddingRule.gguf, true, false));
  add_rope_factors(config, model);
  for (uint32_t layer = 0; layer < model.hyper.n_layers; ++layer)
    for (const TensorRule& rule : a.layer)
      TRY(taker.take(hugging_face_name(layer, rule), layer_tensor_name(layer, rule), rule.required,
                     a.norm_plus_one && rule.rows == Dim::kNone));
  TRY(taker.take(kOutputNormRule.hugging_face, kOutputNormRule.gguf, true, a.norm_plus_one));
  TRY(taker.take(kOutputRule.hugging_face, kOutputRule.gguf, !config.tied, false));
  return taker.refuse_leftovers();
}

// The tensors that the folder would hold, as far as config.json tells, without data. The
// optional ones are the biases of q, k and v.
Status imagine_tensors(const HfConfig& config, Model& model) {
  if (config.vocabulary == 0) return Status::bad_input("config.json lacks vocab_size");
  model.hyper.vocabulary = config.vocabulary;
  const auto imagine = [&](const std::string& name, const TensorRule& rule) {
    Tensor t;
    t.name = name;
    t.type = rule.rows == Dim::kNone ? Type::F32 : config.type;
    t.n_dims = rule.rows == Dim::kNone ? 1 : 2;
    t.shape[0] = length_of(rule.columns, model.hyper);
    t.shape[1] = length_of(rule.rows, model.hyper);
    model.file_bytes += t.bytes();
    model.tensors.push_back(std::move(t));
  };
  imagine(kEmbeddingRule.gguf, kEmbeddingRule);
  add_rope_factors(config, model);
  for (uint32_t layer = 0; layer < model.hyper.n_layers; ++layer)
    for (const TensorRule& rule : config.architecture->layer)
      if (rule.required || config.qkv_bias) imagine(layer_tensor_name(layer, rule), rule);
  imagine(kOutputNormRule.gguf, kOutputNormRule);
  if (!config.tied) imagine(kOutputRule.gguf, kOutputRule);
  return {};
}

Status fill(const Source& source, bool weights_needed, Model& model) {
  ASSIGN_OR_RETURN(const Json json, Json::read(source.config_path, kMaxConfigBytes));
  ASSIGN_OR_RETURN(HfConfig config, read_hf_config(json.root, name_of(source.folder)));
  const Architecture& a = *config.architecture;
  ASSIGN_OR_RETURN(model.hyper, read_hyper_parameters(a, config.metadata));
  const bool weights = weights_needed || file_exists(source.folder + "/model.safetensors") ||
                       file_exists(source.folder + "/model.safetensors.index.json");
  if (weights) {
    ASSIGN_OR_RETURN(SafetensorsFile file, open_safetensors_folder(source.folder));
    TRY(take_tensors(config, std::move(file), model));
  } else {
    TRY(imagine_tensors(config, model));
  }
  model.metadata = std::move(config.metadata);
  model.permuted_qk = a.permuted_qk;
  model.hyper.rope_layout = RopeLayout::kHalves;  // of every Hugging Face folder
  TRY(bind_tensors(a, model));
  if (a.permuted_qk) {  // a llama: the converter says these two of it alone
    model.metadata.set_u32(fmt::format("{}.vocab_size", a.name), model.hyper.vocabulary);
    model.metadata.set_u32(fmt::format("{}.rope.dimension_count", a.name), model.hyper.rope_dims);
  }
  const bool tokenizer = weights_needed || file_exists(source.folder + "/tokenizer.json") ||
                         file_exists(source.folder + "/tokenizer.model");
  if (!tokenizer) return {};
  return read_hf_tokenizer(source.folder, json.root, model.hyper.vocabulary, model.metadata);
}

}  // namespace

Result<std::shared_ptr<const Model>> open_hugging_face(const std::string& path,
                                                       bool weights_needed) {
  const Source source = source_of(path);
  if (!file_exists(source.config_path))
    return Status::bad_input(fmt::format("{} holds no config.json", source.folder),
                             "give a GGUF file, or a Hugging Face folder with config.json");
  auto model = std::make_shared<Model>();
  TRY(fill(source, weights_needed, *model).in(source.folder));
  return std::shared_ptr<const Model>(std::move(model));
}

}  // namespace enxuto
