#include "models/model.h"

#include <fmt/format.h>

#include "models/bind.h"
#include "models/hugging_face.h"

namespace enxuto {
namespace {

std::vector<const Tensor*> present(std::vector<const Tensor*> tensors) {
  std::erase(tensors, nullptr);
  return tensors;
}

}  // namespace

std::vector<const Tensor*> matrices_of(const LayerWeights& w) {
  return present({w.q, w.k, w.v, w.qkv, w.attn_output, w.gate, w.up, w.down, w.shared_gate,
                  w.shared_up, w.shared_down});
}

std::vector<const Tensor*> tensors_of(const LayerWeights& w) {
  return present({w.attn_norm,
                  w.attn_norm_bias,
                  w.q,
                  w.q_bias,
                  w.k,
                  w.k_bias,
                  w.v,
                  w.v_bias,
                  w.qkv,
                  w.qkv_bias,
                  w.q_norm,
                  w.k_norm,
                  w.attn_output,
                  w.attn_output_bias,
                  w.post_attn_norm,
                  w.ffn_norm,
                  w.ffn_norm_bias,
                  w.router,
                  w.gate,
                  w.up,
                  w.up_bias,
                  w.down,
                  w.down_bias,
                  w.shared_router,
                  w.shared_gate,
                  w.shared_up,
                  w.shared_down,
                  w.post_ffn_norm});
}

std::vector<const Tensor*> inputs_of(const LayerWeights& w) {
  return present({w.q, w.qkv, w.attn_output, w.gate ? w.gate : w.up, w.down, w.shared_down});
}

const Tensor* Model::find(std::string_view name) const {
  for (const Tensor& t : tensors)
    if (t.name == name) return &t;
  return nullptr;
}

void Model::let_go() const {
  for (const auto& file : files) file->let_go();
}

void Model::count_read(uint64_t bytes, uint64_t kept) const {
  for (const auto& file : files) file->count_read(bytes, kept);
}

uint64_t Model::emit_row(const Tensor& tensor, uint64_t i) const {
  if (!permuted_qk) return i;
  const bool q = tensor.name.find(".attn_q.") != std::string::npos,
             k = tensor.name.find(".attn_k.") != std::string::npos;
  if (!q && !k) return i;
  // A GGUF llama pairs neighbours where Hugging Face pairs halves: row 2 j + h of a head comes from
  // row h * half + j.
  const uint64_t half = hyper.key_dim / 2, head = i / hyper.key_dim, within = i % hyper.key_dim;
  return head * hyper.key_dim + within % 2 * half + within / 2;
}

namespace {

// Hyper-parameters out of the metadata, tensors into their places.
Status bind(Model& model) {
  const auto name = model.metadata.string_at("general.architecture");
  if (!name) return Status::bad_input("the model does not name its architecture");
  const Architecture* architecture = find_architecture(*name);
  if (!architecture)
    return Status::bad_input(fmt::format("architecture '{}' is not known", name->substr(0, 40)),
                             "known are " + known_architectures());
  ASSIGN_OR_RETURN(model.hyper, read_hyper_parameters(*architecture, model.metadata));
  return bind_tensors(*architecture, model);
}

}  // namespace

Result<std::shared_ptr<const Model>> make_model(GgufFile parts) {
  auto model = std::make_shared<Model>();
  model->metadata = std::move(parts.metadata);
  model->tensors = std::move(parts.tensors);
  model->files = std::move(parts.files);
  model->file_bytes = parts.file_bytes;
  TRY(bind(*model));
  return std::shared_ptr<const Model>(std::move(model));
}

Result<std::shared_ptr<const Model>> open_model(const std::string& path, bool weights_needed) {
  if (is_directory(path) || path.ends_with("config.json"))
    return open_hugging_face(path, weights_needed);
  ASSIGN_OR_RETURN(GgufFile file, open_gguf(path));
  auto model = make_model(std::move(file));
  return model.ok() ? std::move(model) : model.status().in(path);
}

}  // namespace enxuto
