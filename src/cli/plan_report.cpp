#include "cli/plan_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/cache_report.h"
#include "cli/terminal_text.h"

namespace enxuto {
namespace {

constexpr size_t kMostContextColumns = 5;

const char* kind_name(PartKind kind) {
  switch (kind) {
    case PartKind::kArena:
      return "arena";
    case PartKind::kMapped:
      return "mapped";
    case PartKind::kProcess:
      return "process";
  }
  return "";
}

Json choices_json(const ChoiceTable& table) {
  Json choices = Json::array();
  for (const MixChoice& mix : table.mixes)
    for (const Combination& c : mix.combinations) {
      Json choice = {{"mix", mix.mix},
                     {"kv", table.caches[c.cache].name},
                     {"file_bytes", mix.file_bytes},
                     {"bits_per_weight", mix.bits_per_weight},
                     {"expected_kld", mix.expected_kld + table.caches[c.cache].expected_kld},
                     {"context", c.context},
                     {"batch", c.batch},
                     {"sequences", table.sequences},
                     {"total_bytes", c.total_bytes},
                     {"fits", c.fits},
                     {"largest_context", mix.largest_context},
                     {"bytes_per_token", mix.bytes_per_token},
                     {"expected_tokens_per_second", nullptr}};
      if (mix.expected_tokens_per_second > 0)
        choice["expected_tokens_per_second"] = mix.expected_tokens_per_second;
      choices.push_back(std::move(choice));
    }
  return choices;
}

Json recommendation_json(const ChoiceTable& table) {
  if (!table.recommendation) return nullptr;
  const Recommendation& r = *table.recommendation;
  return {{"mix", r.mix},
          {"kv", table.caches[r.cache].name},
          {"kv_options", cache_options(table.caches[r.cache].layers)},
          {"file_bytes", r.file_bytes},
          {"context", r.context},
          {"batch", r.batch},
          {"sequences", table.sequences},
          {"total_bytes", r.total_bytes},
          {"expected_kld", r.expected_kld},
          {"reason", r.reason}};
}

// Broken into lines at blanks, indented.
std::string filled(std::string_view text) {
  constexpr size_t kWidth = 96;
  std::string lines = " ";
  size_t column = 1;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const size_t width = display_width(text.substr(0, end)) + 1;
    if (column + width > kWidth) lines += "\n ", column = 1;
    lines += ' ';
    lines += text.substr(0, end);
    column += width;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines + "\n";
}

void print_parts(const PlanReport& report, const Paint& paint) {
  const uint64_t total = report.map.total_bytes();
  Table table({"part", ">bytes", "", "why"});
  for (const MemoryPart& p : report.map.parts)
    table.add({p.owner, format_bytes(p.bytes),
               paint.cyan(bar(static_cast<double>(p.bytes) / static_cast<double>(total), 24)),
               paint.dim(printable(p.why))});
  table.add({"total", format_bytes(total), "", fmt::format("{} bytes", format_count(total))});
  table.print(paint);
}

void print_verdict(const PlanReport& report, const Paint& paint) {
  constexpr size_t kWidth = 30;
  const auto total = static_cast<double>(report.map.total_bytes());
  const auto budget = static_cast<double>(report.budget.bytes);
  const std::string done = bar(total / std::max(total, budget), kWidth);
  const std::string rest(kWidth - std::min(kWidth, display_width(done)), ' ');
  const std::string verdict = report.fits() ? paint.green("fits") : paint.red("does not fit");
  fmt::print("\n{} {}  [{}{}] {:.0f} % of {} ({})\n", paint.bold(report.goal), verdict,
             paint.cyan(done), rest, 100 * total / budget, format_bytes(report.budget.bytes),
             report.budget.source);
  if (report.streamed_bytes && report.fits())
    fmt::print("Only by reading {} from the file for every token, which is slow. Instead:\n",
               format_bytes(report.streamed_bytes));
  for (const Suggestion& s : report.suggestions) fmt::print("  {}\n", s.text);
}

// Few enough for a screen: the one wanted, the longest, and what lies evenly between.
std::vector<size_t> columns_to_show(const ChoiceTable& table) {
  const size_t n = table.contexts.size();
  std::vector<size_t> columns;
  if (n <= kMostContextColumns) {
    for (size_t i = 0; i < n; ++i) columns.push_back(i);
    return columns;
  }
  for (size_t i = 0; i < kMostContextColumns; ++i)
    columns.push_back(i * (n - 1) / (kMostContextColumns - 1));
  const auto wanted = static_cast<size_t>(std::ranges::find(table.contexts, table.context) -
                                          table.contexts.begin());
  const auto nearest = std::ranges::min_element(
      columns, {}, [&](size_t i) { return i > wanted ? i - wanted : wanted - i; });
  *nearest = wanted;
  return columns;
}

const Combination& combination_at(const ChoiceTable& table, const MixChoice& mix, size_t context) {
  const auto batch =
      static_cast<size_t>(std::ranges::find(table.batches, table.batch) - table.batches.begin());
  return mix.combinations[context * table.batches.size() + batch];
}

std::string cell_text(const Combination& c, const Paint& paint) {
  return c.fits ? format_bytes(c.total_bytes) : paint.dim("✗ " + format_bytes(c.total_bytes));
}

void print_choices(const ChoiceTable& table, const Paint& paint) {
  const std::vector<size_t> columns = columns_to_show(table);
  const bool speed = table.mixes.front().expected_tokens_per_second > 0;
  std::vector<std::string> heading = {"formats", ">file", ">bits", ">~KLD"};
  if (speed) heading.push_back(">~tokens/s");
  for (const size_t i : columns)
    heading.push_back(fmt::format(">{}", format_count(table.contexts[i])));
  heading.push_back(">longest");
  Table out(heading);
  for (const MixChoice& mix : table.mixes) {
    std::vector<std::string> row = {mix.mix, format_bytes(mix.file_bytes),
                                    fmt::format("{:.2f}", mix.bits_per_weight),
                                    fmt::format("{:.4f}", mix.expected_kld)};
    if (speed) row.push_back(fmt::format("{:.1f}", mix.expected_tokens_per_second));
    for (const size_t i : columns) row.push_back(cell_text(combination_at(table, mix, i), paint));
    row.push_back(mix.largest_context ? format_count(mix.largest_context) : "none");
    out.add(row);
  }
  fmt::print("\nWhat fits (✗: does not), by tokens of context");
  if (table.sequences > 1) fmt::print(", {} sequences of them", table.sequences);
  fmt::print("; ~ marks estimates\n");
  out.print(paint);
}

void print_recommendation(const ChoiceTable& table, const Paint& paint) {
  if (!table.recommendation) {
    fmt::print("\n{}: none of these fits even with a short context\n", paint.bold("recommended"));
    return;
  }
  const Recommendation& r = *table.recommendation;
  const CacheChoice& cache = table.caches[r.cache];
  const std::string with = r.cache ? ", KV cache " + cache.name : std::string();
  fmt::print("\n{}: {}, {} in all: {}\n", paint.bold("recommended"), paint.green(r.mix + with),
             format_bytes(r.total_bytes), r.reason);
  if (r.cache) fmt::print("  {}\n", cache_options(cache.layers));
  if (table.mixes.front().mix != r.mix)
    fmt::print("  enxuto compress MODEL -o OUT --size {}\n  {}\n", r.file_bytes,
               "chooses the format of each tensor by what it costs: expect less loss than above");
}

}  // namespace

Json plan_json(const PlanReport& report) {
  Json parts = Json::array(), suggestions = Json::array();
  for (const MemoryPart& p : report.map.parts)
    parts.push_back({{"owner", p.owner},
                     {"bytes", p.bytes},
                     {"why", p.why},
                     {"when", p.when},
                     {"kind", kind_name(p.kind)}});
  for (const Suggestion& s : report.suggestions)
    suggestions.push_back({{"text", s.text}, {"option", s.option}, {"value", s.value}});
  Json json = {{"for", report.goal},
               {"total_bytes", report.map.total_bytes()},
               {"memory_bytes", report.budget.bytes},
               {"memory_source", report.budget.source},
               {"fits", report.fits()},
               {"streamed_bytes_per_pass", report.streamed_bytes},
               {"context", report.layout.context},
               {"batch", report.layout.batch},
               {"sequences", report.layout.sequences},
               {"threads", report.layout.n_threads},
               {"parts", parts},
               {"suggestions", suggestions}};
  if (report.teacher_bytes) json["teacher_bytes"] = report.teacher_bytes;
  if (report.measured) json["kv_measured"] = measured_cache_json(*report.measured);
  if (!report.choices) return json;
  json["choices"] = choices_json(*report.choices);
  json["kv_choices"] = caches_json(*report.choices);
  json["recommendation"] = recommendation_json(*report.choices);
  return json;
}

void print_lessons(const std::vector<Lesson>& lessons) {
  const Paint paint(Stream::kOutput);
  for (const Lesson& lesson : lessons)
    fmt::print("{}\n{}\n", paint.bold(lesson.title), filled(lesson.text));
}

void print_plan(const PlanReport& report) {
  const Paint paint(Stream::kOutput);
  print_parts(report, paint);
  print_verdict(report, paint);
  if (report.teacher_bytes)
    fmt::print("before it the teacher takes {}, and is gone\n", format_bytes(report.teacher_bytes));
  if (report.measured) print_measured_cache(*report.measured, paint);
  if (!report.choices) return;
  print_choices(*report.choices, paint);
  print_caches(*report.choices, paint);
  print_recommendation(*report.choices, paint);
}

}  // namespace enxuto
