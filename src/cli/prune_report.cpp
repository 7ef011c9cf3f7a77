#include "cli/prune_report.h"

#include <algorithm>

#include "base/bytes.h"
#include "cli/terminal_text.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

double share(uint64_t part, uint64_t whole) {
  return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

const LayerShape* find_layer(const ModelShape& shape, uint32_t layer) {
  for (const LayerShape& l : shape.layers)
    if (l.layer == layer) return &l;
  return nullptr;
}

void print_layers(const PruneReport& report, const Model& model, const Paint& paint) {
  Table table({">layer", ">heads", "", ">channels", ""});
  for (uint32_t l = 0; l < model.hyper.n_layers; ++l) {
    const LayerWidths whole = model.hyper.widths(l);
    const LayerShape* kept = find_layer(report.shape, l);
    if (!kept) {
      table.add({fmt::format("{}", l), "-", paint.dim("gone"), "-", ""});
      continue;
    }
    const uint32_t heads =
        whole.n_kv_heads ? kept->kv_heads * (whole.n_heads / whole.n_kv_heads) : 0;
    table.add({fmt::format("{}", l), format_count(heads),
               paint.cyan(bar(share(heads, whole.n_heads), 8)), format_count(kept->channels),
               paint.cyan(bar(share(kept->channels, whole.ffn_width), 24))});
  }
  table.print(paint);
}

void print_experts(const PruneReport& report, const Model& model, const Paint& paint) {
  Table table({">layer", ">experts", "", ">of what they add", "gone"});
  for (const ExpertChoice& choice : report.experts) {
    std::string gone;
    for (uint32_t e = 0; e < choice.gone.size(); ++e)
      if (choice.gone[e]) gone += fmt::format("{}{}", gone.empty() ? "" : " ", e);
    table.add({fmt::format("{}", choice.layer), format_count(choice.kept.size()),
               paint.cyan(bar(share(choice.kept.size(), model.hyper.n_experts), 24)),
               fmt::format("-{:.2f} %", 100 * choice.lost), gone});
  }
  table.print(paint);
}

// Bits of one weight of the matrices that zeros are in, as the file has them.
double bits_of_weight(const Model& model) {
  uint64_t bytes = 0, weights = 0;
  for (const LayerWeights& w : model.layers)
    for (const Tensor* t : matrices_of(w))
      bytes += t->row_bytes() * t->rows(), weights += t->count();
  return weights ? 8 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
}

double zeros_of(const PruneReport& report) {
  uint64_t zeros = 0, weights = 0;
  for (const MaskedKind& kind : report.masked) zeros += kind.zeros, weights += kind.weights;
  return share(zeros, weights);
}

bool is_as_large(const MaskedKind& kind) { return kind.weights && kind.bytes == kind.source_bytes; }

// A bit for each weight, and those that are not zero one after the other.
double bitmap_bits(double zeros, double bits) { return 1 + (1 - zeros) * bits; }

constexpr double kBitsOfQ4 = 4.5;

void print_sparse(const PruneReport& report) {
  uint64_t source = 0, now = 0;
  for (const MaskedKind& kind : report.masked) source += kind.source_bytes, now += kind.bytes;
  fmt::print("\nthe matrices take {} instead of {}: their zeros are not stored{}\n",
             format_bytes(now), format_bytes(source),
             std::ranges::any_of(report.masked, is_as_large)
                 ? "; where the sparse form is not smaller, or 32 do not divide the rows, they are"
                 : "");
  fmt::print("only enxuto reads this file: other programs know no SF16\n");
}

void print_masked(const PruneReport& report, const Model& model, const PruneOptions& options,
                  const Paint& paint) {
  Table table({"matrices", ">zeros", "", ">before", ">bytes"});
  for (const MaskedKind& kind : report.masked)
    if (kind.weights)
      table.add({kind.kind, fmt::format("{:.2f} %", 100 * share(kind.zeros, kind.weights)),
                 paint.cyan(bar(share(kind.zeros, kind.weights), 24)),
                 format_count(kind.source_bytes), format_count(kind.bytes)});
  table.print(paint);
  if (!report.layer_shares.empty()) {
    const auto [least, most] = std::ranges::minmax(report.layer_shares);
    fmt::print("\nby the layers' outliers {:.1f} to {:.1f} % of their weights are zero\n",
               100 * least, 100 * most);
  }
  if (options.sparse) return print_sparse(report);
  const double zeros = zeros_of(report);
  fmt::print(
      "\nthe file is as large as before, and as fast: a sparse form pays from a share of "
      "zeros above 1 / bits of a weight (--sparse)\n");
  for (const double bits : {bits_of_weight(model), kBitsOfQ4}) {
    const double sparse = bitmap_bits(zeros, bits);
    fmt::print(
        "of {:.3g} bits a weight, a bitmap and what is not zero would take {:.2f}: {} "
        "({:.0f} %)\n",
        bits, sparse, sparse < bits ? "smaller" : "not smaller", 100 * sparse / bits);
  }
}

Json masked_json(const PruneReport& report, const Model& model) {
  Json kinds = Json::array(), forms = Json::array();
  for (const MaskedKind& kind : report.masked)
    kinds.push_back({{"kind", kind.kind},
                     {"zeros", kind.zeros},
                     {"weights", kind.weights},
                     {"input_bytes", kind.source_bytes},
                     {"bytes", kind.bytes}});
  for (const double bits : {bits_of_weight(model), kBitsOfQ4})
    forms.push_back({{"bits_per_weight", bits},
                     {"sparse_bits_per_weight", bitmap_bits(zeros_of(report), bits)}});
  Json json = {{"zero_share", zeros_of(report)}, {"kinds", kinds}, {"bitmap_forms", forms}};
  if (!report.layer_shares.empty()) json["layer_shares"] = report.layer_shares;
  return json;
}

}  // namespace

Json prune_json(const PruneReport& report, const Model& model, const PruneOptions& options) {
  Json layers = Json::array();
  for (const LayerShape& layer : report.shape.layers) {
    Json one = {
        {"layer", layer.layer}, {"kv_heads", layer.kv_heads}, {"ffn_width", layer.channels}};
    if (model.hyper.n_experts) one["experts"] = layer.experts;
    if (!report.experts.empty()) {
      one["experts_kept"] = report.experts[layer.layer].kept;
      one["energy_lost"] = report.experts[layer.layer].lost;
    }
    layers.push_back(std::move(one));
  }
  Json json = {
      {"output", options.output},
      {"what", options.what},
      {"architecture", report.architecture},
      {"input_bytes", report.source_bytes},
      {"file_bytes", report.file_bytes},
      {"input_layer_bytes", report.source_layer_bytes},
      {"layer_bytes", report.layer_bytes},
      {"input_token_bytes", report.source_token_bytes},
      {"token_bytes", report.token_bytes},
      {"layers", layers},
      {"tokens", report.shape.tokens.empty() ? model.hyper.vocabulary : report.shape.tokens.size()},
      {"tokens_met", report.tokens_met},
      {"expected_growth", report.expected_growth},
      {"predicted_kld", report.predicted_kld},
      {"kld", report.kld},
      {"seconds", report.seconds},
      {"planned_bytes", report.map.total_bytes()},
      {"peak_rss_bytes", peak_rss_bytes()}};
  if (const auto& distilled = report.distilled)
    json["distilled"] = {{"steps", distilled->steps},
                         {"tokens", distilled->tokens},
                         {"learned", distilled->of_adapter ? "adapter" : "weights"},
                         {"kept", distilled->better()},
                         {"kld_before", distilled->kld_before},
                         {"kld", distilled->kld}};
  if (!report.masked.empty()) json["masked"] = masked_json(report, model);
  return json;
}

void print_prune(const PruneReport& report, const Model& model, const PruneOptions& options) {
  const Paint paint(Stream::kOutput);
  if (!report.masked.empty())
    print_masked(report, model, options, paint);
  else if (!report.experts.empty())
    print_experts(report, model, paint);
  else if (report.shape.tokens.empty())
    print_layers(report, model, paint);
  else
    fmt::print(
        "{} of {} tokens stay: the text has {}, and other text like it is expected to take\n"
        "{:.2f} % more of them\n",
        format_count(report.shape.tokens.size()), format_count(model.hyper.vocabulary),
        format_count(report.tokens_met), 100 * report.expected_growth);
  fmt::print("\n{}  {} bytes, {:.1f} % of the input's {}; architecture {}\n",
             paint.bold(options.output), format_count(report.file_bytes),
             100 * share(report.file_bytes, report.source_bytes), format_count(report.source_bytes),
             report.architecture);
  if (report.masked.empty() || options.sparse)
    fmt::print("layers {} of {}; a token reads {} of {}{}\n", format_bytes(report.layer_bytes),
               format_bytes(report.source_layer_bytes), format_bytes(report.token_bytes),
               format_bytes(report.source_token_bytes),
               options.sparse ? ", which is not as much faster: values have to be placed"
                              : fmt::format(": about {:.2f} x as fast",
                                            share(report.source_token_bytes, report.token_bytes)));
  if (report.kld > 0) fmt::print("KL divergence on text held out {:.4f} nats\n", report.kld);
  if (const auto& distilled = report.distilled)
    fmt::print("learned {} tokens of the whole model ({}): from {:.4f} to {:.4f} nats{}\n",
               format_count(distilled->tokens),
               distilled->of_adapter ? "an adapter, merged" : "all weights", distilled->kld_before,
               distilled->kld,
               distilled->better() ? "" : "; no better, the weights are as they were");
  fmt::print("{:.0f} s, peak {} of {} planned\n", report.seconds, format_bytes(peak_rss_bytes()),
             format_bytes(report.map.total_bytes()));
}

}  // namespace enxuto
