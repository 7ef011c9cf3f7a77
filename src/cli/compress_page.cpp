#include "cli/compress_page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/html.h"
#include "cli/heat_map.h"
#include "cli/rate_chart.h"
#include "cli/terminal_text.h"
#include "cli/usage_page.h"
#include "plan/plan.h"

namespace enxuto {
namespace {

// What files say of themselves.
std::string safe(const Json& text) { return html_escaped(printable(text.get<std::string>())); }

std::string file_name(const Json& path) {
  const auto text = path.get<std::string>();
  return text.substr(text.find_last_of('/') + 1);
}

std::string bytes(const Json& value) { return format_bytes(value.get<uint64_t>()); }
std::string count(const Json& value) { return format_count(value.get<uint64_t>()); }
std::string percent(double share) {
  return share > 0 && share < 0.001 ? fmt::format("{:.2g} %", 100 * share)
                                    : fmt::format("{:.1f} %", 100 * share);
}

std::string card(const char* what, const std::string& figure, const std::string& more) {
  return fmt::format("<div class=\"card\"><span>{}</span><b>{}</b><span>{}</span></div>\n", what,
                     figure, more);
}

std::string ratio(const Json& before, const Json& after, const char* key) {
  return fmt::format("{:.0f} % of before",
                     100 * after[key].get<double>() / std::max(1.0, before[key].get<double>()));
}

std::string headline(const Json& report) {
  const Json &before = report["before"], &after = report["after"];
  const auto change = [&](const char* key, const auto& text) {
    return fmt::format("<small>{} →</small> {}", text(before[key]), text(after[key]));
  };
  const auto bits = [](const Json& value) { return fmt::format("{:.2f}", value.get<double>()); };
  return "<div class=\"cards\">\n" +
         card("File", change("file_bytes", bytes), ratio(before, after, "file_bytes")) +
         card("Bits per weight", change("bits_per_weight", bits), "of the whole file") +
         card("Memory to run it", change("run_bytes", bytes),
              fmt::format("with {} tokens of context", count(after["context"]))) +
         card("Predicted KL divergence",
              fmt::format("{:.4f} nats", report["predicted_kld"].get<double>()),
              "mean per token, from the model before") +
         "</div>\n";
}

std::string curve_section(const Json& report) {
  std::string html =
      "<h2>Quality against bytes</h2>\n<p class=\"soft\">What the measurements predict of other "
      "sizes: a point is the best choice of formats, tensor by tensor, in so many bytes. Diamonds: "
      "one format for every weight (another where its rows do not divide), rounded as compress "
      "rounds.</p>\n" +
      rate_chart(report);
  if (report["mixes"].empty()) return html;
  HtmlTable table({"one format", "bytes", "bits per weight", "its KL divergence",
                   "chosen by tensor, same bytes", "ratio"});
  for (const Json& mix : report["mixes"]) {
    const auto own = mix["predicted_kld"].get<double>(), ours = mix["allocated_kld"].get<double>();
    table.add({safe(mix["mix"]), count(mix["file_bytes"]),
               fmt::format("{:.2f}", mix["bits_per_weight"].get<double>()),
               fmt::format("{:.4f}", own), fmt::format("{:.4f}", ours),
               own > 0 ? fmt::format("{:.2f}", ours / own) : "–"});
  }
  return html + table.html();
}

std::string formats_section(const Json& report) {
  HtmlTable table({"format", "bits per weight", "tensors", "parameters", "bytes", "<share"});
  std::vector<Json> formats = report["formats"];
  std::ranges::stable_sort(formats, std::greater(), [](const Json& f) { return f["bytes"]; });
  for (const Json& f : formats) {
    const double share = f["bytes"].get<double>() / report["file_bytes"].get<double>();
    table.add({safe(f["format"]),
               fmt::format("{:.2f}", 8 * f["bytes"].get<double>() / f["parameters"].get<double>()),
               count(f["tensors"]), count(f["parameters"]), bytes(f["bytes"]),
               fmt::format("<span class=\"meter\"><span style=\"width: {:.1f}%\"></span></span> {}",
                           100 * share, percent(share))});
  }
  return "<h2>Number formats</h2>\n" + table.html();
}

// Matrices: what compress chooses formats for.
std::vector<Json> matrices(const Json& report) {
  std::vector<Json> found;
  for (const Json& t : report["tensors"])
    if (t["shape"].size() > 1) found.push_back(t);
  return found;
}

double sum_of(const std::vector<Json>& tensors, const std::string& kind, const char* key) {
  double sum = 0;
  for (const Json& t : tensors)
    if (printable(t["kind"].get<std::string>()) == kind) sum += t[key].get<double>();
  return sum;
}

HeatCell cell_of(const Json& t, std::string text, double heat) {
  return {printable(t["kind"].get<std::string>()),
          t["layer"].is_null() ? std::optional<uint32_t>() : t["layer"].get<uint32_t>(),
          printable(fmt::format("{}: {}, {:.2f} bits per weight, {} of the predicted loss",
                                t["name"].get<std::string>(), t["to"].get<std::string>(),
                                t["bits_per_weight"].get<double>(),
                                percent(t["kld_share"].get<double>()))),
          std::move(text), heat};
}

std::string swatch(const char* style, double heat, const std::string& text) {
  return fmt::format("<span><span class=\"swatch {}\" style=\"opacity: {:.3f}\"></span>{}</span>\n",
                     style, opacity_of(heat), text);
}

std::string bits_map(const std::vector<Json>& tensors) {
  const auto log_bits = [](const Json& t) {
    return std::log2(std::max(0.5, t["bits_per_weight"].get<double>()));
  };
  double low = INFINITY, high = -INFINITY;
  std::map<double, std::set<std::string>> formats;  // by their bits
  for (const Json& t : tensors) {
    low = std::min(low, log_bits(t)), high = std::max(high, log_bits(t));
    formats[t["bits_per_weight"].get<double>()].insert(t["to"].get<std::string>());
  }
  const auto heat = [&](double log) { return high > low ? (log - low) / (high - low) : 0.5; };
  HeatMap map{"Bits per weight by layer and kind of tensor", "bar", {}, [&](const auto& kind) {
                return fmt::format("{:.2f} bits", 8 * sum_of(tensors, kind, "bytes") /
                                                      sum_of(tensors, kind, "parameters"));
              }};
  for (const Json& t : tensors) {
    const auto text = fmt::format("{:.1f}", t["bits_per_weight"].get<double>());
    map.cells.push_back(
        cell_of(t, t["layer"].is_null() ? t["to"].get<std::string>() : text, heat(log_bits(t))));
  }
  std::string legend = "<p class=\"legend\">";
  for (const auto& [bits, names] : formats)
    legend += swatch("", heat(std::log2(std::max(0.5, bits))),
                     fmt::format("{:.2f} bits: {}", bits, fmt::join(names, ", ")));
  return heat_map(map) + legend + "</p>\n";
}

std::string loss_map(const std::vector<Json>& tensors) {
  double most = 0;
  for (const Json& t : tensors) most = std::max(most, t["kld_share"].get<double>());
  HeatMap map{
      "Share of the predicted loss by layer and kind of tensor", "heat", {}, [&](const auto& kind) {
        return percent(sum_of(tensors, kind, "kld_share"));
      }};
  for (const Json& t : tensors) {
    const auto share = t["kld_share"].get<double>();
    map.cells.push_back(cell_of(t, share >= 0.0005 ? fmt::format("{:.1f}", 100 * share) : "",
                                most > 0 ? std::sqrt(share / most) : 0));
  }
  std::string legend = "<p class=\"legend\">";
  for (const double heat : {0.0, 0.25, 0.5, 0.75, 1.0})
    legend += swatch("heat", heat, percent(heat * heat * most));
  return heat_map(map) + legend + "</p>\n";
}

std::string maps_section(const Json& report) {
  const std::vector<Json> tensors = matrices(report);
  if (tensors.empty()) return "";
  return "<h2>Where the bits went</h2>\n<p class=\"soft\">Bits per weight of each matrix; at a "
         "row's end, of all of its kind.</p>\n" +
         bits_map(tensors) +
         "<h2>Where the loss comes from</h2>\n<p class=\"soft\">Each matrix's share of the "
         "predicted KL divergence, in percent.</p>\n" +
         loss_map(tensors);
}

std::string tensors_section(const Json& report) {
  std::vector<Json> tensors = report["tensors"];
  std::ranges::stable_sort(tensors, std::greater(),
                           [](const Json& t) { return t["kld_share"].get<double>(); });
  HtmlTable table({"tensor", "<from", "<to", "bits", "parameters", "bytes", "relative error",
                   "KL divergence", "share"});
  for (const Json& t : tensors)
    table.add({safe(t["name"]), safe(t["from"]), safe(t["to"]),
               fmt::format("{:.2f}", t["bits_per_weight"].get<double>()), count(t["parameters"]),
               count(t["bytes"]), fmt::format("{:.3g}", t["relative_error"].get<double>()),
               fmt::format("{:.3g}", t["predicted_kld"].get<double>()),
               percent(t["kld_share"].get<double>())});
  return fmt::format("<details><summary>All {} tensors, most loss first</summary>\n{}</details>\n",
                     tensors.size(), table.html());
}

// What running takes, before and after: weights, KV cache and all else, on one scale.
std::string run_section(const Json& report) {
  constexpr double kWidth = 860, kLeft = 64, kRight = kWidth - 100, kRow = 34;
  const double most = std::max({report["before"]["run_bytes"].get<double>(),
                                report["after"]["run_bytes"].get<double>(), 1.0});
  std::string svg = fmt::format(
      "<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"Memory to run the model, before and after\">\n",
      kWidth, 2 * kRow);
  double y = 0;
  for (const char* when : {"before", "after"}) {
    double of_weights = 0, of_cache = 0;
    const Json& model = report[when];
    for (const Json& part : model["parts"]) {
      if (part["owner"] == owner::kWeights) of_weights += part["bytes"].get<double>();
      if (part["owner"] == owner::kKvCache) of_cache += part["bytes"].get<double>();
    }
    const double rest = model["run_bytes"].get<double>() - of_weights - of_cache;
    svg += fmt::format("<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                       kLeft - 8, y + 18, when);
    double x = kLeft;
    const std::pair<const char*, double> parts[] = {
        {"bar", of_weights}, {"heat", of_cache}, {"rest", rest}};
    for (const auto& [style, size] : parts) {
      const double width = size / most * (kRight - kLeft);
      svg += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"26\"><title>{}"
          "</title></rect>",
          style, x, y, width, format_bytes(static_cast<uint64_t>(size)));
      x += width;
    }
    svg += fmt::format("<text class=\"small\" x=\"{:.1f}\" y=\"{}\">{}</text>\n", x + 8, y + 18,
                       bytes(model["run_bytes"]));
    y += kRow;
  }
  return fmt::format(
             "<h2>Memory to run it</h2>\n<p class=\"soft\">As <code>enxuto plan</code> "
             "says, with {} tokens of context and all of the file in memory.</p>\n",
             count(report["after"]["context"])) +
         svg + "</svg></div>\n<p class=\"legend\">" + swatch("", 1, "weights") +
         swatch("heat", 1, "KV cache") + swatch("rest", 1, "all else") + "</p>\n";
}

}  // namespace

std::string compress_page(const Json& report) {
  const bool wrote = report.contains("output");
  const std::string model = printable(file_name(report["model"]));
  const std::string name = wrote ? printable(file_name(report["output"])) : model;
  std::string html = html_begin("enxuto compress " + model, name);
  html += wrote ? fmt::format("<p class=\"soft\">Compressed from {}</p>\n", html_escaped(model))
                : "<p class=\"soft\">What smaller files of it would lose</p>\n";
  if (wrote) html += headline(report);
  html += curve_section(report);
  if (wrote)
    html += maps_section(report) + formats_section(report) + tensors_section(report) +
            run_section(report);
  html += fmt::format(
      "<h2>Memory while it was compressed</h2>\n<p class=\"soft\">In {:.0f} "
      "seconds.</p>\n",
      report["seconds"].get<double>());
  return html + memory_section(report["memory"]) + kHtmlEnd;
}

}  // namespace enxuto
