#include "cli/text_batch.h"

#include <algorithm>
#include <chrono>

#include "base/bytes.h"
#include "cli/batch_rows.h"
#include "cli/create.h"
#include "cli/progress_bar.h"
#include "data/text_files.h"
#include "plan/plan.h"
#include "platform/clock.h"
#include "platform/interrupt.h"
#include "platform/log_file.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

constexpr const char* kResults = "results.jsonl";
constexpr const char* kRecord = "job.json";
constexpr uint64_t kMostRecordBytes = uint64_t{4} << 20;
constexpr size_t kMostNamed = 5;  // of bad rows

struct Counts {
  uint64_t rows = 0, resumed = 0, bad = 0, new_tokens = 0;
  std::vector<std::string> named;  // the first bad ones
  double decode_seconds = 0;

  void add_bad(const std::string& file, const BatchRow& row) {
    if (++bad <= kMostNamed) named.push_back(fmt::format("{}:{}: {}", file, row.number, row.bad));
  }
};

// Whole lines of a file, and the bytes that they take.
struct Lines {
  uint64_t count = 0, bytes = 0;
};
Result<Lines> whole_lines(const std::string& path) {
  ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  std::vector<char> piece(size_t{1} << 16);
  Lines lines;
  for (uint64_t at = 0;;) {
    ASSIGN_OR_RETURN(const uint64_t n, file.read(piece));
    for (uint64_t i = 0; i < n; ++i)
      if (piece[i] == '\n') ++lines.count, lines.bytes = at + i + 1;
    at += n;
    if (n < piece.size()) return lines;
  }
}

std::string trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

// The row with its answer; where there is none, row.bad says why.
Status answer_row(const TextOptions& options, TextWriter& writer, uint64_t number, BatchRow& row,
                  Counts& counts) {
  std::string text;
  const auto written = writer.answer(row.prompt, number, [&](const std::string& more) {
    text += more;
    return true;
  });
  if (written.status().code() == Code::kDoesNotFit) {
    row.bad = written.status().what();
    return {};
  }
  TRY(written.status());
  if (written->end == End::kInterrupted) return Status::interrupted();
  counts.new_tokens += written->new_tokens;
  counts.decode_seconds += written->decode_seconds;
  if (writer.rules)
    row.fields["output"] = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  else
    row.fields["output"] = options.job == TextJob::kContinue ? text : trimmed(text);
  return {};
}

Json json_of(const TextOptions& options, const Counts& counts, double seconds) {
  const double per_second = counts.decode_seconds > 0
                                ? static_cast<double>(counts.new_tokens) / counts.decode_seconds
                                : 0;
  return {{"output", options.output},
          {"rows", counts.rows},
          {"resumed_rows", counts.resumed},
          {"bad_rows", counts.bad},
          {"bad", counts.named},
          {"seed", *options.seed},
          {"new_tokens", counts.new_tokens},
          {"decode_tokens_per_second", per_second},
          {"seconds", seconds},
          {"peak_rss_bytes", peak_rss_bytes()}};
}

void report(const TextOptions& options, const Counts& counts, double seconds) {
  for (const std::string& each : counts.named) print_note(printable(each));
  if (counts.bad > counts.named.size())
    print_note(fmt::format("and {} more bad rows", counts.bad - counts.named.size()));
  if (options.json) return print_json(json_of(options, counts, seconds));
  fmt::print("{}: {} rows{}, {} tokens in {:.1f} s\n", printable(options.output),
             format_count(counts.rows),
             counts.bad ? fmt::format(" ({} bad, with \"error\")", counts.bad) : "",
             format_count(counts.new_tokens), seconds);
}

}  // namespace

Result<Generation> TextWriter::answer(const std::string& text, std::optional<uint64_t> number,
                                      const std::function<bool(const std::string&)>& show) {
  ASSIGN_OR_RETURN(const auto tokens, prompts.tokens(writer.tokenizer(), text));
  if (rules) {
    const uint64_t room = writer.room_after(tokens.size());
    if (room < rules->fewest_tokens())
      return Status::does_not_fit(
          fmt::format("the shortest document of the schema has {} tokens, and there is room for {}",
                      rules->fewest_tokens(), room),
          "give a larger -n or --context");
    rules->begin(room);
  }
  return writer.write(tokens, show, {rules, number, prompts.stops()});
}

Result<TextBatch> TextBatch::open(TextOptions& options) {
  TRY(check_is_free(options.output, options.force));
  ASSIGN_OR_RETURN(WorkFolder folder, WorkFolder::open(options.output + ".batch"));
  TextBatch batch(std::move(folder));
  if (batch.folder_.has(kRecord)) {
    ASSIGN_OR_RETURN(const std::string text,
                     read_text_file(batch.folder_.path(kRecord), kMostRecordBytes));
    batch.record_ = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  }
  if (!options.resume && !options.force && !batch.record_.is_null())
    return Status::usage(fmt::format("{} holds a batch that was begun", batch.folder_.path()),
                         "--resume goes on with it, --force begins anew");
  if (!options.resume) batch.record_ = nullptr;
  if (!options.seed)
    options.seed = batch.record_.is_object() && batch.record_.contains("seed") &&
                           batch.record_["seed"].is_number_unsigned()
                       ? batch.record_["seed"].get<uint64_t>()
                       : random_seed();
  return batch;
}

// The same record, or a new one.
Status TextBatch::settle(const TextOptions& options, const std::string& schema,
                         const Writer& writer) {
  ASSIGN_OR_RETURN(const InputFile input, InputFile::open(options.batch_file));
  ASSIGN_OR_RETURN(const uint64_t model_bytes, whole_file_bytes(writer.model()));
  const SamplingOptions& s = options.sampling;
  const Json record = {{"input", options.batch_file},
                       {"input_bytes", input.size()},
                       {"input_modified", input.modified_nanoseconds()},
                       {"model_bytes", model_bytes},
                       {"lora", options.lora_file},
                       {"job", static_cast<int>(options.job)},
                       {"schema", schema},
                       {"field", options.field},
                       {"context", writer.context()},
                       {"tokens", options.max_tokens},
                       {"stops", options.stops},
                       {"sampling", {s.temperature, s.top_k, s.top_p, s.min_p, s.repeat_penalty}},
                       {"seed", *options.seed}};
  if (record_ == record) return {};
  if (!record_.is_null())
    return Status::usage(
        fmt::format("{} was begun with other options, prompts or model", folder_.path()),
        "give the same ones, or --force to begin anew");
  TRY(folder_.remove(kResults));
  return write_text_file(folder_.path(kRecord), to_text(record), /*replace=*/true);
}

Status TextBatch::run(const TextOptions& options, const std::string& schema, TextWriter& writer) {
  TRY(settle(options, schema, writer.writer));
  ASSIGN_OR_RETURN(const auto rows, BatchRows::open(options.batch_file, options.field));
  Lines done;
  if (folder_.has(kResults)) {
    ASSIGN_OR_RETURN(done, whole_lines(folder_.path(kResults)));
  }
  ASSIGN_OR_RETURN(LogFile results, LogFile::open(folder_.path(kResults), done.bytes));
  const auto begin = std::chrono::steady_clock::now();
  ProgressBar progress;
  Counts counts;
  counts.resumed = done.count;
  BatchRow row;
  for (;; ++counts.rows) {
    ASSIGN_OR_RETURN(const bool any, rows->next(row));
    if (!any) break;
    const bool is_new = counts.rows >= done.count;
    if (is_new && interrupted()) return Status::interrupted();
    if (is_new && row.bad.empty()) TRY(answer_row(options, writer, counts.rows, row, counts));
    if (!row.bad.empty()) {
      counts.add_bad(options.batch_file, row);
      row.fields["error"] = row.bad;
    }
    if (!is_new) continue;
    TRY(results.append(row.fields.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"));
    progress.show("rows", rows->done());
  }
  progress.erase();
  if (counts.rows == 0)
    return Status::bad_input(fmt::format("{} has no rows", options.batch_file), "give one or more");
  TRY(finish(options));
  report(options, counts, seconds_since(begin));
  return {};
}

Status TextBatch::finish(const TextOptions& options) {
  ASSIGN_OR_RETURN(InputFile from, InputFile::open(folder_.path(kResults)));
  ASSIGN_OR_RETURN(OutputFile to, OutputFile::create(options.output, options.force));
  std::vector<char> piece(size_t{1} << 16);
  for (;;) {
    ASSIGN_OR_RETURN(const uint64_t n, from.read(piece));
    TRY(to.write(std::string_view(piece.data(), n)));
    if (n < piece.size()) break;
  }
  TRY(to.commit());
  TRY(folder_.remove(kResults));
  return folder_.remove(kRecord);
}

}  // namespace enxuto
