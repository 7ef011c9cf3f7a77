// A GGUF file of any bytes as an adapter of a small model: refused, or bound so that every number
// of every pair may be read, and b has as many as the model's matrix has rows.
#include "fuzz.h"
#include "models/adapter.h"
#include "models/blank.h"

namespace enxuto {
namespace {

using fuzz::require;

std::shared_ptr<const Model> small_model() {
  Metadata tokenizer;
  tokenizer.set_strings("tokenizer.ggml.tokens", {"a", "b"});
  ModelShapeRequest shape;
  shape.n_layers = 1, shape.width = 32, shape.n_heads = 1, shape.n_kv_heads = 1;
  shape.ffn_width = 64, shape.context = 16;
  const auto model = blank_model(shape, tokenizer);
  require(model.ok(), "there is a model");
  return *model;
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  static const auto model = small_model();
  auto file = parse_gguf({data, size});
  if (!file.ok()) return 0;
  const auto adapter = bind_adapter(std::move(*file), *model);
  if (!adapter.ok()) return 0;
  for (const LowRank& pair : (*adapter)->pairs) {
    require(pair.a->columns() == pair.w->columns() && pair.b->rows() == pair.w->rows() &&
                pair.b->columns() == pair.rank(),
            "a pair fits its matrix");
    std::vector<float> a(pair.a->count()), b(pair.w->rows() * pair.rank());
    pair.a->codec().decode(pair.a->data.data(), a.data(), a.size());
    decode_b(*model, **adapter, pair, b.data());
  }
  return 0;
}
