// create table: rows like those of the table that a model was trained on, one after the other.
#include <chrono>
#include <random>

#include "cli/create.h"
#include "cli/progress_bar.h"
#include "cli/table_page.h"
#include "media/csv.h"
#include "media/table_codec.h"
#include "media/table_copula.h"
#include "media/table_rules.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/interrupt.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

enum class Method { kNetwork, kCopula, kIndependent };

struct TableOptions : CreateOptions {
  uint64_t rows = 1000;
  std::vector<std::string> where;
  Method method = Method::kNetwork;
  std::string real, held;  // to compare with; empty: nothing
};

// Rows drawn in vain before conditions count as too rare.
constexpr uint64_t kMostTries = 1'000'000, kMostNetworkTries = 20'000;

struct Written {
  uint64_t rows = 0, tries = 0;
  double seconds = 0;
};

// Draws rows until one keeps the conditions.
class RowMaker {
 public:
  RowMaker(Creator& creator, const TableOptions& options, const TableSchema& schema,
           const std::vector<Condition>& conditions, RowRules rules)
      : creator_(creator),
        method_(options.method),
        conditions_(conditions),
        rules_(std::move(rules)),
        copula_(schema, options.method == Method::kIndependent),
        random_(creator.sampling.seed) {}

  Status next(std::vector<std::string>& row) {
    const uint64_t most = method_ == Method::kNetwork ? kMostNetworkTries : kMostTries;
    for (uint64_t i = 0; i < most; ++i) {
      if (interrupted()) return Status::interrupted();
      ++tries_;
      ASSIGN_OR_RETURN(const bool made, draw(row));
      if (made) return {};
    }
    return Status::failed(fmt::format("not one row of {} keeps the conditions", most),
                          "ask for less, or for what the table has more of");
  }
  uint64_t tries() const { return tries_; }

 private:
  Result<bool> draw(std::vector<std::string>& row) {
    if (method_ == Method::kNetwork) return draw_by_network(row);
    copula_.draw(random_, row);
    for (const Condition& condition : conditions_)
      if (!condition.holds(row[condition.column()])) return false;
    return true;
  }
  Result<bool> draw_by_network(std::vector<std::string>& row) {
    RuledRequest request;
    request.prompt = rules_.begin(random_);
    request.sampling = creator_.sampling;
    request.sampling.seed = random_();
    TRY(generate(*creator_.session, request, rules_, [](Token) { return Status(); }).status());
    return rules_.finish(copula_, random_, row);
  }

  Creator& creator_;
  Method method_;
  const std::vector<Condition>& conditions_;
  RowRules rules_;
  Copula copula_;
  std::mt19937_64 random_;
  uint64_t tries_ = 0;
};

Result<Written> write_rows(const TableOptions& options, const TableSchema& schema, RowMaker& maker,
                           ProgressBar& progress) {
  const auto begin = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(options.output, options.force));
  CsvWriter out(std::move(file), schema.delimiter());
  TRY(out.add(schema.names()));
  std::vector<std::string> row;
  for (uint64_t i = 0; i < options.rows; ++i) {
    TRY(maker.next(row));
    TRY(out.add(row));
    progress.show("rows", static_cast<double>(i + 1) / static_cast<double>(options.rows));
  }
  TRY(out.commit());
  return Written{options.rows, maker.tries(), seconds_since(begin)};
}

Json json_of(const TableOptions& options, const Written& written,
             const std::optional<TableComparison>& comparison) {
  Json json = {{"output", options.output},
               {"rows", written.rows},
               {"rows_drawn", written.tries},
               {"seconds", written.seconds},
               {"rows_per_second", static_cast<double>(written.rows) / written.seconds},
               {"peak_rss_bytes", peak_rss_bytes()}};
  if (comparison) json["comparison"] = comparison_json(*comparison);
  return json;
}

void print(const TableOptions& options, const Written& written,
           const std::optional<TableComparison>& comparison) {
  const Paint paint(Stream::kOutput);
  if (comparison) print_comparison(*comparison, paint);
  const double seconds = std::max(written.seconds, 1e-9);
  fmt::print("{}  {} rows in {:.1f} s, {:.0f} rows/s{}, peak {}\n",
             paint.bold(printable(options.output)), format_count(written.rows), written.seconds,
             static_cast<double>(written.rows) / seconds,
             written.tries > written.rows
                 ? fmt::format(" ({} drawn for the conditions)", format_count(written.tries))
                 : "",
             format_bytes(peak_rss_bytes()));
}

Status check(const TableOptions& o) {
  if (o.real.empty() && !o.held.empty())
    return Status::usage("--holdout is compared with what the model learned from",
                         "name that by --compare");
  if (o.real.empty() && !o.report_file.empty())
    return Status::usage("a report compares with a real table", "name it by --compare");
  return o.report_file.empty() ? Status() : check_is_free(o.report_file, o.force);
}

// A row is a few tokens of a small model, one by one: threads would wait for each other.
TableOptions with_threads(TableOptions options) {
  if (options.n_threads == 0) options.n_threads = 1;
  return options;
}

Status create_table(const TableOptions& told) {
  const TableOptions options = with_threads(told);
  TRY(check(options));
  ASSIGN_OR_RETURN(Creator creator, Creator::open(options, "table", /*guided=*/false));
  const TableSchema& schema = dynamic_cast<const TableCodec&>(*creator.codec).schema();
  std::vector<Condition> conditions;
  for (const std::string& text : options.where) {
    ASSIGN_OR_RETURN(Condition condition, Condition::parse(text, schema));
    conditions.push_back(std::move(condition));
  }
  ASSIGN_OR_RETURN(RowRules rules, RowRules::create(schema, conditions));
  RowMaker maker(creator, options, schema, conditions, std::move(rules));
  ProgressBar progress;
  ASSIGN_OR_RETURN(const Written written, write_rows(options, schema, maker, progress));
  std::optional<TableComparison> comparison;
  if (!options.real.empty()) {
    ASSIGN_OR_RETURN(comparison, compare_tables(schema, options.output, options.real, options.held,
                                                progress.callback()));
  }
  progress.erase();
  if (!options.report_file.empty())
    TRY(write_table_page(*comparison, options.report_file, options.force));
  if (options.json)
    print_json(json_of(options, written, comparison));
  else
    print(options, written, comparison);
  return {};
}

}  // namespace

void add_create_table(CLI::App& create, Action& action) {
  Subcommand<TableOptions> c(
      create, "table", "Rows like those of a table (CSV)",
      "  enxuto train --media table --data wage.csv --params 1M -o wage.gguf\n"
      "  enxuto create table wage.gguf -o rows.csv --rows 3000\n"
      "  enxuto create table wage.gguf -o rows.csv --where 'sex=Female' --where 'age>40'\n"
      "  enxuto create table wage.gguf -o rows.csv --method copula --compare wage.csv --report "
      "report.html\n",
      create_table, action);
  TableOptions& o = *c.options;
  add_create_options(c, "The CSV file to write");
  c.number("--rows", o.rows, "Rows to make (default: 1000)", 1, 1e12);
  c.command
      ->add_option("--where", o.where,
                   "What all rows keep: COLUMN=VALUE, also != < <= > >=; may be given again")
      ->type_name("CONDITION")
      ->allow_extra_args(false);
  c.choice<Method>("--method", o.method,
                   {{"network", Method::kNetwork},
                    {"copula", Method::kCopula},
                    {"independent", Method::kIndependent}},
                   "network (default), or without it: copula, where columns depend on each other "
                   "by correlations, or independent");
  c.command
      ->add_option("--compare", o.real, "Tell how like this table, which the model learned, it is")
      ->type_name("CSV");
  c.command
      ->add_option("--holdout", o.held,
                   "Rows that the model has not learned: how near real rows are by nature")
      ->type_name("CSV");
  c.command->add_option("--report", o.report_file, "Write the comparison here, as .html")
      ->type_name("FILE");
}

}  // namespace enxuto
