#include "models/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "formats/untrusted.h"

namespace enxuto {
namespace {

constexpr std::string_view kA = ".lora_a", kB = ".lora_b";
constexpr const char* kAlpha = "adapter.lora.alpha";
constexpr const char* kAnother =
    "it was made for another model: take the one that it was made from";
constexpr const char* kTodo =
    "take a LoRA that llama.cpp's convert_lora_to_gguf.py or `enxuto train` has written";

Status broken(std::string what) { return Status::bad_input(std::move(what), kTodo); }

// Experts have no adapters yet.
std::vector<const Tensor*> layer_matrices(const Model& model) {
  std::vector<const Tensor*> all;
  for (const LayerWeights& layer : model.layers)
    for (const Tensor* w : matrices_of(layer))
      if (w->shape[2] == 1) all.push_back(w);
  return all;
}

Status check_kind(const Metadata& metadata, const Model& model) {
  if (metadata.string_at("general.type") != "adapter")
    return broken("a GGUF file, but no adapter (general.type)");
  const std::string_view kind = metadata.string_at("adapter.type").value_or("");
  if (kind != "lora") return broken(fmt::format("an adapter of type {}, not lora", shown(kind)));
  if (metadata.find("adapter.alora.invocation_tokens"))
    return broken("an adapter that waits for certain tokens (aLoRA), which is not known yet");
  const std::string_view made_for = metadata.string_at("general.architecture").value_or("");
  if (made_for != model.hyper.architecture)
    return Status::bad_input(fmt::format("an adapter of a {}, and the model is a {}",
                                         shown(made_for), model.hyper.architecture),
                             kAnother);
  return {};
}

// As llama.cpp reads it: without an alpha the product is added as it is.
Result<float> read_alpha(const Metadata& metadata) {
  const MetaValue* value = metadata.find(kAlpha);
  if (!value) return 0.0f;
  const auto alpha = value->as_number();
  if (!alpha || !std::isfinite(static_cast<float>(*alpha)))
    return broken(fmt::format("{} is no number", kAlpha));
  return static_cast<float>(*alpha);
}

struct Halves {
  const Tensor *a = nullptr, *b = nullptr;
};

Result<std::map<std::string_view, Halves>> find_halves(const std::vector<Tensor>& tensors) {
  std::map<std::string_view, Halves> found;
  for (const Tensor& tensor : tensors) {
    const std::string_view name = tensor.name;
    if (!tensor.codec().decode)
      return broken(
          fmt::format("tensor {} holds {}, no weights", shown(name), tensor.codec().name));
    if (name.ends_with(kA))
      found[name.substr(0, name.size() - kA.size())].a = &tensor;
    else if (name.ends_with(kB))
      found[name.substr(0, name.size() - kB.size())].b = &tensor;
    else
      return broken(fmt::format("tensor {} is neither a .lora_a nor a .lora_b", shown(name)));
  }
  return found;
}

Result<LowRank> bind_pair(const Tensor& w, const Halves& halves, float alpha) {
  const auto flat = [](const Tensor& t) { return t.shape[2] == 1 && t.shape[3] == 1; };
  const auto [a, b] = halves;
  if (!a || !b) return broken(fmt::format("{} has no {}", w.name, a ? "lora_b" : "lora_a"));
  if (!flat(*a) || !flat(*b) || a->columns() != w.columns() || b->rows() != w.rows())
    return Status::bad_input(
        fmt::format("the adapter of {} is for {} x {} weights, which has {} x {}", w.name,
                    a->columns(), b->rows(), w.columns(), w.rows()),
        kAnother);
  if (a->rows() != b->columns())
    return broken(
        fmt::format("{}: lora_a has rank {}, lora_b {}", w.name, a->rows(), b->columns()));
  const float scale = alpha == 0 ? 1 : alpha / static_cast<float>(a->rows());
  return LowRank{&w, a, b, scale};
}

Tensor matrix(const std::string& name, uint64_t columns, uint64_t rows) {
  Tensor tensor;
  tensor.name = name;
  tensor.n_dims = 2;
  tensor.shape[0] = columns, tensor.shape[1] = rows;
  return tensor;
}

Metadata metadata_of(const Adapter& adapter, const Model& model) {
  Metadata metadata;
  metadata.set_string("general.type", "adapter");
  metadata.set_string("general.architecture", model.hyper.architecture);
  metadata.set_string("adapter.type", "lora");
  metadata.set_f32(kAlpha, adapter.alpha);
  return metadata;
}

Status write_rows(GgufWriter& writer, const Tensor& tensor, const Model& model,
                  const Tensor* ordered_as) {
  for (uint64_t i = 0; i < tensor.rows(); ++i)
    TRY(writer.write(tensor.row(ordered_as ? model.emit_row(*ordered_as, i) : i)));
  return {};
}

}  // namespace

const LowRank* Adapter::find(const Tensor& w) const {
  const auto found = std::ranges::find(pairs, &w, &LowRank::w);
  return found == pairs.end() ? nullptr : &*found;
}

uint64_t Adapter::count() const {
  uint64_t count = 0;
  for (const Tensor& tensor : tensors) count += tensor.count();
  return count;
}

uint64_t Adapter::most_rank() const {
  uint64_t most = 0;
  for (const LowRank& pair : pairs) most = std::max(most, pair.rank());
  return most;
}

std::shared_ptr<Adapter> blank_adapter(const Model& model, uint32_t rank) {
  auto adapter = std::make_shared<Adapter>();
  adapter->alpha = kAlphaOfRank * static_cast<float>(rank);
  const std::vector<const Tensor*> matrices = layer_matrices(model);
  for (const Tensor* w : matrices) {
    adapter->tensors.push_back(matrix(w->name + std::string(kA), w->columns(), rank));
    adapter->tensors.push_back(matrix(w->name + std::string(kB), rank, w->rows()));
  }
  for (size_t i = 0; i < matrices.size(); ++i)
    adapter->pairs.push_back(
        {matrices[i], &adapter->tensors[2 * i], &adapter->tensors[2 * i + 1], kAlphaOfRank});
  return adapter;
}

Result<std::shared_ptr<const Adapter>> bind_adapter(GgufFile file, const Model& model) {
  TRY(check_kind(file.metadata, model));
  auto adapter = std::make_shared<Adapter>();
  ASSIGN_OR_RETURN(adapter->alpha, read_alpha(file.metadata));
  adapter->tensors = std::move(file.tensors);
  adapter->files = std::move(file.files);
  ASSIGN_OR_RETURN(auto halves, find_halves(adapter->tensors));
  std::vector<const Tensor*> matrices = layer_matrices(model);
  if (!model.tied()) matrices.push_back(model.output);
  for (const Tensor* w : matrices) {
    const auto found = halves.find(w->name);
    if (found == halves.end()) continue;
    ASSIGN_OR_RETURN(const LowRank pair, bind_pair(*w, found->second, adapter->alpha));
    adapter->pairs.push_back(pair);
    halves.erase(found);
  }
  // What nobody adds would be left out in silence.
  if (!halves.empty())
    return Status::bad_input(
        fmt::format("the adapter changes {}, which is no matrix of a layer of this model",
                    shown(halves.begin()->first)),
        kAnother);
  if (adapter->pairs.empty()) return broken("an adapter without tensors");
  return std::shared_ptr<const Adapter>(std::move(adapter));
}

Result<std::shared_ptr<const Adapter>> open_adapter(const std::string& path, const Model& model) {
  ASSIGN_OR_RETURN(GgufFile file, open_gguf(path));
  auto adapter = bind_adapter(std::move(file), model);
  if (!adapter.ok()) return adapter.status().in(path);
  return adapter;
}

void decode_b(const Model& model, const Adapter& adapter, const LowRank& pair, float* b) {
  const uint64_t rank = pair.rank();
  for (uint64_t i = 0; i < pair.b->rows(); ++i) {
    const uint64_t row = adapter.files.empty() ? i : model.emit_row(*pair.w, i);
    pair.b->codec().decode(pair.b->row(i).data(), b + row * rank, rank);
  }
}

Status write_adapter(const Adapter& adapter, const Model& model, const std::string& path,
                     bool replace) {
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, replace));
  const Metadata metadata = metadata_of(adapter, model);
  GgufWriter writer(out, metadata);
  for (const LowRank& pair : adapter.pairs)
    for (const Tensor* tensor : {pair.a, pair.b})
      TRY(writer.add(tensor->name, tensor->type, {tensor->shape, tensor->n_dims}));
  TRY(writer.begin());
  for (const LowRank& pair : adapter.pairs) {
    TRY(write_rows(writer, *pair.a, model, nullptr));
    TRY(write_rows(writer, *pair.b, model, pair.w));
  }
  TRY(writer.finish());
  return out.commit();
}

}  // namespace enxuto
