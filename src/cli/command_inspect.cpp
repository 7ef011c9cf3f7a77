// inspect: what a model is made of.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/model_parts.h"
#include "cli/terminal_text.h"
#include "media/codec.h"

namespace enxuto {
namespace {

std::string_view text_at(const Model& model, std::string_view key) {
  return model.metadata.string_at(key).value_or(std::string_view());
}

// What codec_of says of it; nothing where it is of text, or not sound.
std::vector<CodecFact> facts_of(const Model& model) {
  if (media_kind(model.metadata).empty()) return {};
  const auto codec = codec_of(model.metadata);
  return codec.ok() ? (*codec)->facts() : std::vector<CodecFact>();
}

Json medium_json(const Model& model) {
  if (media_kind(model.metadata).empty()) return {};
  Json json = {{"kind", media_kind(model.metadata)}};
  for (const CodecFact& fact : facts_of(model)) json[fact.name] = fact.value;
  return json;
}

std::string medium_text(const Model& model) {
  std::string text(printable(std::string(media_kind(model.metadata))));
  for (const CodecFact& fact : facts_of(model)) {
    std::string name = fact.name;
    std::ranges::replace(name, '_', ' ');
    text += fmt::format(", {} {:.5g}", name, fact.value);
  }
  return text;
}

bool has_chat_template(const Model& model) {
  return !text_at(model, "tokenizer.chat_template").empty();
}

std::string shape_text(const Tensor& tensor) {
  std::string text;
  for (uint32_t d = 0; d < tensor.n_dims; ++d)
    text += fmt::format("{}{}", d ? " x " : "", tensor.shape[d]);
  return text;
}

Json shares_json(const std::vector<ModelPart>& shares, const char* key) {
  Json list = Json::array();
  for (const ModelPart& s : shares)
    list.push_back({{key, s.name},
                    {"tensors", s.tensors},
                    {"parameters", s.parameters},
                    {"bytes", s.bytes},
                    {"bits_per_weight", s.bits_per_weight()}});
  return list;
}

Json tensors_json(const Model& model) {
  Json list = Json::array();
  for (const Tensor& t : model.tensors) {
    Json shape = Json::array();
    for (uint32_t d = 0; d < t.n_dims; ++d) shape.push_back(t.shape[d]);
    list.push_back(
        {{"name", t.name}, {"format", t.codec().name}, {"shape", shape}, {"bytes", t.bytes()}});
  }
  return list;
}

Json layers_json(const HyperParameters& h) {
  Json list = Json::array();
  for (const LayerWidths& w : h.uneven)
    list.push_back({{"heads", w.n_heads}, {"kv_heads", w.n_kv_heads}, {"ffn_width", w.ffn_width}});
  return list;
}

// Of all parameters those that a token meets.
uint64_t parameters_used(const Model& model) {
  uint64_t used = 0;
  for (const Tensor& t : model.tensors)
    used += t.shape[2] == 1 ? t.count() : t.count() / t.shape[2] * model.hyper.n_experts_used;
  return used;
}

std::string mixture_text(const HyperParameters& h) {
  if (h.n_experts == 0) return {};
  return fmt::format(" in each of {} experts, {} of them for a token", h.n_experts,
                     h.n_experts_used);
}

void report_json(const Model& model, const Composition& made_of, bool tensors) {
  const HyperParameters& h = model.hyper;
  Json json = {{"architecture", h.architecture},
               {"name", h.name},
               {"file_bytes", model.file_bytes},
               {"tensor_bytes", made_of.total.bytes},
               {"parameters", made_of.total.parameters},
               {"tensor_count", made_of.total.tensors},
               {"bits_per_weight", made_of.total.bits_per_weight()},
               {"layers", h.n_layers},
               {"width", h.width},
               {"heads", h.n_heads},
               {"kv_heads", h.n_kv_heads},
               {"head_width", h.key_dim},
               {"ffn_width", h.ffn_width},
               {"experts", h.n_experts},
               {"experts_used", h.n_experts_used},
               {"parameters_used", parameters_used(model)},
               {"vocabulary", h.vocabulary},
               {"context", h.trained_context},
               {"sliding_window", h.sliding_window},
               {"tied_head", model.tied()},
               {"tokenizer", text_at(model, "tokenizer.ggml.model")},
               {"pre_tokenizer", text_at(model, "tokenizer.ggml.pre")},
               {"chat_template", has_chat_template(model)},
               {"medium", medium_json(model)},
               {"parts", shares_json(made_of.parts, "part")},
               {"formats", shares_json(made_of.formats, "format")}};
  if (!h.uneven.empty()) json["layer_widths"] = layers_json(h);
  if (tensors) json["tensors"] = tensors_json(model);
  print_json(json);
}

std::string short_count(uint64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} G", value / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} M", value / 1e6);
  if (count >= 1'000) return fmt::format("{:.1f} k", value / 1e3);
  return std::to_string(count);
}

void print_shares(const std::vector<ModelPart>& shares, const ModelPart& total, const char* what,
                  const Paint& paint) {
  fmt::print("\n");
  Table table({what, ">tensors", ">parameters", ">bytes", ">bits/weight", ">share", ""});
  for (const ModelPart& s : shares) {
    const double share = static_cast<double>(s.bytes) / static_cast<double>(total.bytes);
    table.add({s.name, format_count(s.tensors), short_count(s.parameters), format_bytes(s.bytes),
               fmt::format("{:.2f}", s.bits_per_weight()), fmt::format("{:.1f} %", 100 * share),
               paint.cyan(bar(share, 24))});
  }
  table.print(paint);
}

void print_tensors(const Model& model, const Paint& paint) {
  fmt::print("\n");
  Table table({"tensor", "format", ">bytes", "shape"});
  for (const Tensor& t : model.tensors)
    table.add({printable(t.name), t.codec().name, format_count(t.bytes()), shape_text(t)});
  table.print(paint);
}

// "9", or "0 to 9" where layers differ.
std::string range_text(const HyperParameters& h, uint32_t LayerWidths::*part) {
  uint32_t least = h.widths(0).*part, most = least;
  for (const LayerWidths& w : h.uneven)
    least = std::min(least, w.*part), most = std::max(most, w.*part);
  const std::string text = format_count(most);
  return least == most ? text : fmt::format("{} to {}", format_count(least), text);
}

void report_text(const Model& model, const Composition& made_of, bool tensors) {
  const Paint paint(Stream::kOutput);
  const HyperParameters& h = model.hyper;
  auto line = [&](const char* what, const std::string& value) {
    fmt::print("{}{}\n", paint.dim(fmt::format("{:<14}", what)), value);
  };
  fmt::print("{}\n", paint.bold(printable(h.name.empty() ? h.architecture : h.name)));
  line("architecture",
       fmt::format("{}, {} layers of width {}, {} heads ({} for keys and values), "
                   "feed-forward {}{}",
                   printable(h.architecture), h.n_layers, format_count(h.width),
                   range_text(h, &LayerWidths::n_heads), range_text(h, &LayerWidths::n_kv_heads),
                   range_text(h, &LayerWidths::ffn_width), mixture_text(h)));
  const std::string used =
      h.n_experts ? fmt::format(", {} for a token", format_count(parameters_used(model))) : "";
  line("parameters", fmt::format("{}{}{}", format_count(made_of.total.parameters), used,
                                 model.tied() ? ", the head is the embedding again" : ""));
  line("file", fmt::format("{} ({} bytes), {:.2f} bits per weight", format_bytes(model.file_bytes),
                           format_count(model.file_bytes), made_of.total.bits_per_weight()));
  line("context", fmt::format("{} tokens", format_count(h.trained_context)));
  line("tokenizer",
       fmt::format("{} {}, {} tokens", printable(text_at(model, "tokenizer.ggml.model")),
                   printable(text_at(model, "tokenizer.ggml.pre")), format_count(h.vocabulary)));
  line("chat template", has_chat_template(model) ? "yes" : "no");
  if (const std::string medium = medium_text(model); !medium.empty()) line("medium", medium);
  print_shares(made_of.parts, made_of.total, "part", paint);
  print_shares(made_of.formats, made_of.total, "format", paint);
  if (tensors) print_tensors(model, paint);
}

}  // namespace

Status inspect_command(const InspectOptions& options) {
  ASSIGN_OR_RETURN(const auto model, open_model(options.model, /*weights_needed=*/false));
  const Composition made_of = compose(*model);
  if (options.json)
    report_json(*model, made_of, options.tensors);
  else
    report_text(*model, made_of, options.tensors);
  return {};
}

}  // namespace enxuto
