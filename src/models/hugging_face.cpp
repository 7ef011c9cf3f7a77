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

std::string usual_name(const Architecture& architecture, std::string name) {
  if (architecture.first_names.empty()) return name;
  if (name.starts_with(kFirstPrefix)) name.erase(0, kFirstPrefix.size());
  for (const auto& [usual, other] : architecture.first_names)
    if (name.starts_with(other)) return name.replace(0, other.size(), usual);
  return name;
}

// Multimodal models keep their language part under a name of its own, in one of two places.
std::string language_name(const Architecture& architecture, const std::string& name) {
  for (const char* prefix : {"model.language_model.", "language_model.model."})
    if (name.starts_with(prefix))
      return "model." + name.substr(std::char_traits<char>::length(prefix));
  return name == "language_model.lm_head.weight" ? "lm_head.weight"
                                                 : usual_name(architecture, name);
}

bool not_language(const std::string& name) {
  return name.find("vision_tower.") != std::string::npos ||
         name.find("multi_modal_projector.") != std::string::npos ||
         name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attn.bias") ||
         name.ends_with(".attn.masked_bias");  // who sees whom
}

// The bytes of t, (rows, columns), as (columns, rows).
template <class Number>
void transpose(const Tensor& t, uint8_t* to) {
  constexpr uint64_t kTile = 32;
  const uint64_t rows = t.rows(), columns = t.columns();
  const auto* from = reinterpret_cast<const Number*>(t.data.data());
  auto* out = reinterpret_cast<Number*>(to);
  for (uint64_t row = 0; row < rows; row += kTile)
    for (uint64_t c = 0; c < columns; ++c)
      for (uint64_t r = row; r < std::min(rows, row + kTile); ++r)
        out[c * rows + r] = from[r * columns + c];
}

// Takes the folder's tensors over into the model, one by one, under their GGUF names.
class Taker {
 public:
  Taker(const HfConfig& config, bool weights_needed, Model& model)
      : config_(config), weights_needed_(weights_needed), model_(model) {}

  Status load(SafetensorsFile file) {
    model_.files = std::move(file.files);
    for (Tensor& t : file.tensors) {
      if (not_language(t.name)) continue;
      t.name = language_name(*config_.architecture, t.name);
      if (config_.tied && t.name == kOutputRule.hugging_face) continue;
      std::string name = t.name;
      if (!by_name_.emplace(name, std::move(t)).second)
        return Status::bad_input(fmt::format("tensor {} appears twice", name));
    }
    for (const auto& f : model_.files) model_.file_bytes += f->bytes().size();
    return {};
  }

  Status take(const std::string& from, const std::string& to, const TensorRule& rule) {
    auto node = by_name_.extract(from);
    if (node.empty()) {
      if (!rule.required) return {};
      return Status::bad_input(fmt::format("tensor {} is missing", from),
                               "download the folder again");
    }
    Tensor t = std::move(node.mapped());
    t.name = to;
    const bool norm = rule.rows == Dim::kNone;
    if (config_.architecture->norm_plus_one && norm) TRY(add_one(t));
    if (rule.transposed) TRY(turn(t));
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

  // Such a matrix is copied where its weights are needed: its pages of the file are not,
  // afterwards.
  Status turn(Tensor& t) {
    const uint64_t bytes = t.codec().row_bytes(1);
    if (t.n_dims != 2 || t.codec().block_values != 1 || (bytes != 2 && bytes != 4))
      return Status::bad_input(fmt::format("tensor {} is no matrix of floats", t.name));
    if (weights_needed_) {
      auto turned = std::make_shared<std::vector<uint8_t>>(t.bytes());
      bytes == 2 ? transpose<uint16_t>(t, turned->data()) : transpose<uint32_t>(t, turned->data());
      t.data = *turned;
      model_.owned.push_back(std::move(turned));
      model_.let_go();
    } else {
      t.data = {};
    }
    std::swap(t.shape[0], t.shape[1]);
    return {};
  }

  const HfConfig& config_;
  const bool weights_needed_;
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
Status take_tensors(const HfConfig& config, SafetensorsFile file, bool weights_needed,
                    Model& model) {
  const Architecture& a = *config.architecture;
  Taker taker(config, weights_needed, model);
  const auto take = [&](const TensorRule& rule) {
    return taker.take(rule.hugging_face, rule.gguf, rule);
  };
  TRY(taker.load(std::move(file)));
  TRY(take(kEmbeddingRule));
  if (a.learned_positions) TRY(take(kPositionRule));
  add_rope_factors(config, model);
  for (uint32_t layer = 0; layer < model.hyper.n_layers; ++layer)
    for (const TensorRule& rule : a.layer)
      TRY(taker.take(hugging_face_name(layer, rule), layer_tensor_name(layer, rule), rule));
  TRY(take(kOutputNormRule));
  if (a.norm == Norm::kMeanAndVariance) TRY(take(kOutputNormBiasRule));
  TensorRule output = kOutputRule;
  output.required = !config.tied;
  TRY(take(output));
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
  const Architecture& a = *config.architecture;
  imagine(kEmbeddingRule.gguf, kEmbeddingRule);
  if (a.learned_positions) imagine(kPositionRule.gguf, kPositionRule);
  add_rope_factors(config, model);
  for (uint32_t layer = 0; layer < model.hyper.n_layers; ++layer)
    for (const TensorRule& rule : a.layer)
      if (rule.required || config.qkv_bias) imagine(layer_tensor_name(layer, rule), rule);
  imagine(kOutputNormRule.gguf, kOutputNormRule);
  if (a.norm == Norm::kMeanAndVariance) imagine(kOutputNormBiasRule.gguf, kOutputNormBiasRule);
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
    TRY(take_tensors(config, std::move(file), weights_needed, model));
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
