#include "cli/train_page.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/html.h"
#include "cli/remaining_time.h"
#include "cli/step_chart.h"
#include "cli/terminal_text.h"
#include "cli/usage_page.h"

namespace enxuto {
namespace {

std::string safe(const Json& text) {
  return html_escaped(printable(text.get<std::string>(), "\n"));
}
std::string count(const Json& value) { return format_count(value.get<uint64_t>()); }

std::string card(const char* what, const std::string& figure, const std::string& more) {
  return fmt::format("<div class=\"card\"><span>{}</span><b>{}</b><span>{}</span></div>\n", what,
                     figure, more);
}

std::string headline(const Json& r) {
  const auto loss = [](const Json& value) { return fmt::format("{:.3f}", value.get<double>()); };
  std::string html = "<div class=\"cards\">\n";
  html += card("Parameters that learned", count(r["parameters"]), safe(r["architecture"]));
  html += card("Steps", count(r["steps"]),
               fmt::format("of {} x {} tokens, in {}", count(r["batch_size"]), count(r["context"]),
                           rough_time(r["seconds"].get<double>())));
  const bool went_on = !r["loss"].is_null();  // else its history is all there is
  html += card("Loss", loss(went_on ? r["loss"] : r["curve"].back()["loss"]),
               went_on ? "nats, of the last step" : "nats, of the last steps");
  if (!r["validations"].empty() && !r["best_step"].is_null())
    html += card("On texts it did not learn from", loss(r["validations"].back()["loss"]),
                 fmt::format("best {} after step {}", loss(r["best_validation_loss"]),
                             count(r["best_step"])));
  if (!r["tokens_per_second"].is_null())
    html += card("Speed", fmt::format("{:.0f} tokens/s", r["tokens_per_second"].get<double>()),
                 "of the median step");
  return html + "</div>\n";
}

StepChart::Points line_of(const Json& rows, const char* key) {
  StepChart::Points points;
  for (const Json& row : rows)
    points.emplace_back(row["step"].get<double>(), row[key].get<double>());
  return points;
}

// Each point the mean of those around it, of later ones the less the further back they are.
StepChart::Points smoothed(const StepChart::Points& points) {
  const double share = 1 / (1 + static_cast<double>(points.size()) / 50);
  StepChart::Points smooth = points;
  for (size_t i = 1; i < smooth.size(); ++i)
    smooth[i].second = smooth[i - 1].second + share * (points[i].second - smooth[i - 1].second);
  return smooth;
}

std::string charts(const Json& report) {
  const Json& curve = report["curve"];
  StepChart loss{"loss, nats",
                 {},
                 line_of(curve, "loss"),
                 line_of(report["validations"], "loss"),
                 line_of(curve, "tokens")};
  loss.curve = smoothed(loss.faint);
  std::string html =
      "<h2>Loss</h2>\n<p class=\"soft\">Bold: of the steps, smoothed; faint: of each; squares: on "
      "texts that it does not learn from.</p>\n" +
      step_chart(loss);
  StepChart rate{"learning rate", line_of(curve, "lr"), {}, {}, {}, 200, /*from_zero=*/true};
  StepChart speed{"tokens/s", line_of(curve, "tokens_per_second"), {}, {}, {}, 200, true};
  return html + "<h2>Learning rate and speed</h2>\n" + step_chart(rate) + step_chart(speed);
}

std::string samples(const Json& report) {
  if (report["samples"].empty()) return "";
  HtmlTable table({"step", "<what it wrote"});
  for (const Json& sample : report["samples"])
    table.add({count(sample["step"]), safe(sample["text"])});
  return "<h2>Samples</h2>\n" + table.html();
}

}  // namespace

std::string train_page(const Json& report) {
  const std::string output = printable(report["output"].get<std::string>());
  const std::string name = output.substr(output.find_last_of('/') + 1);
  return html_begin("enxuto train " + name, name) + headline(report) + charts(report) +
         samples(report) + "<h2>Memory</h2>\n" + memory_section(report["memory"]) +
         "<h2>Settings</h2>\n<p class=\"soft\">A file of these is what <code>--config</code> "
         "takes.</p>\n<pre>" +
         safe(report["config"]) + "</pre>\n" + kHtmlEnd;
}

}  // namespace enxuto
