// create text: an answer to a text, or to each of many; as JSON of a schema where one is given.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/create.h"
#include "cli/terminal_text.h"
#include "cli/text_batch.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"

namespace enxuto {
namespace {

constexpr int64_t kTokens = 512;

Status write_one(const TextOptions& options, const std::string& prompt, TextWriter& writer) {
  const bool terminal = is_terminal(Stream::kOutput);
  std::string all;
  const auto written = writer.answer(prompt, std::nullopt, [&](const std::string& text) {
    all += text;
    if (options.json) return true;
    const std::string shown = terminal ? printable(text, "\n\t") : text;
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    return std::fflush(stdout) == 0;
  });
  if (std::ferror(stdout))
    return Status::failed(fmt::format("cannot write the output: {}", std::strerror(errno)));
  TRY(written.status());
  if (options.json)
    print_json(generation_json(all, *written));
  else if (terminal || writer.rules)
    fmt::print("\n");
  if (written->end == End::kInterrupted) return Status::interrupted();
  if (options.verbose || (terminal && is_terminal(Stream::kError)))
    print_note(speed_text(*written));
  return {};
}

Status check_options(const TextOptions& options) {
  if (options.job == TextJob::kJson && options.schema_file.empty())
    return Status::usage("--job json has no schema", "give one with --schema FILE");
  if (options.batch_file.empty() != options.output.empty())
    return Status::usage("--batch and -o go together", "give both, or neither for one text");
  if (options.batch_file.empty() && options.resume)
    return Status::usage("--resume is for a batch", "give --batch FILE -o FILE");
  if (options.batch_file.empty() && !options.prompt && is_terminal(Stream::kInput))
    return Status::usage("there is no text", "give it with -p, on standard input, or by --batch");
  if (options.job == TextJob::kJson && !options.stops.empty())
    return Status::usage("--stop would cut JSON", "leave it out");
  for (const std::string& stop : options.stops)
    if (stop.empty()) return Status::usage("--stop is empty", "give the text to stop at");
  return {};
}

// A schema in one line, as prompts name it.
Result<std::string> read_schema(const std::string& path) {
  if (path.empty()) return std::string();
  ASSIGN_OR_RETURN(const std::string text, read_text(path));
  TRY(JsonGrammar::create(text).status().in(path));
  return Json::parse(text, nullptr, /*allow_exceptions=*/false).dump();
}

Status answer(const TextOptions& options, const std::string& schema, const std::string& prompt,
              std::optional<TextBatch>& batch) {
  ASSIGN_OR_RETURN(const auto report, UsageReport::begin("create text", options));
  ASSIGN_OR_RETURN(const auto writer,
                   Writer::open(options, schema.empty() ? nullptr : JsonRules::table_bytes));
  report->plan(writer->session().memory_map(), memory_budget(options));
  report->watch(writer->shared_model());
  std::unique_ptr<JsonRules> rules;
  if (!schema.empty()) {
    ASSIGN_OR_RETURN(rules, JsonRules::create(schema, writer->tokenizer()));
  }
  ASSIGN_OR_RETURN(TextPrompts prompts, TextPrompts::create(*writer, options.job, schema));
  TextWriter answers{*writer, std::move(prompts), rules.get()};
  return batch ? batch->run(options, schema, answers) : write_one(options, prompt, answers);
}

Status create_text(const TextOptions& asked) {
  TextOptions options = asked;
  if (!options.schema_file.empty()) options.job = TextJob::kJson;
  TRY(check_options(options));
  ASSIGN_OR_RETURN(const std::string schema, read_schema(options.schema_file));
  std::string prompt = options.prompt.value_or("");
  std::optional<TextBatch> batch;
  if (!options.batch_file.empty()) {
    auto opened = TextBatch::open(options);
    TRY(opened.status());
    batch.emplace(std::move(*opened));
  } else if (!options.prompt) {
    ASSIGN_OR_RETURN(prompt, read_standard_input());
  }
  const Status status = answer(options, schema, prompt, batch);
  if (batch) batch->leave();
  return status;
}

}  // namespace

void add_create_text(CLI::App& create, Action& action) {
  Subcommand<TextOptions> c(
      create, "text", "An answer to a text, or to each of many; as JSON of a schema",
      "  enxuto create text model.gguf -p \"Once upon a time\"\n"
      "  enxuto create text model.gguf --job summarize < article.txt\n"
      "  enxuto create text model.gguf --schema person.json -p \"Ada Lovelace, 36, of London\"\n"
      "  enxuto create text model.gguf --schema person.json --batch people.csv -o out.jsonl\n"
      "  enxuto create text model.gguf --job list --batch texts.jsonl -o lists.jsonl --resume\n"
      "A batch is JSON lines, or CSV with a header. Each result is its row with \"output\"; rows\n"
      "that cannot be answered get \"error\". What is done waits in OUTPUT.batch/.\n",
      create_text, action);
  TextOptions& o = *c.options;
  o.max_tokens = kTokens;
  c.command->add_option("-p,--prompt", o.prompt, "The text (default: standard input)")
      ->type_name("TEXT");
  c.choice<TextJob>("--job", o.job,
                    {{"continue", TextJob::kContinue},
                     {"rewrite", TextJob::kRewrite},
                     {"summarize", TextJob::kSummarize},
                     {"list", TextJob::kList},
                     {"json", TextJob::kJson}},
                    "continue (default), rewrite, summarize, list its points, or json");
  c.command->add_option("--schema", o.schema_file, "A JSON schema; means --job json")
      ->type_name("FILE");
  c.command
      ->add_option("--batch", o.batch_file, "Texts, one a row: JSON lines, or CSV with a header")
      ->type_name("FILE");
  c.command->add_option("-o,--output", o.output, "With --batch: the JSON lines to write");
  c.command->add_option("--field", o.field, "With --batch: what holds the text (default: prompt)")
      ->type_name("NAME");
  c.command->add_flag("--resume", o.resume, "Go on with a batch, where one was begun");
  c.command->add_flag("--force", o.force, "Replace what is to be written where it exists");
  c.number("-n,--n-predict", o.max_tokens,
           "Most tokens of an answer (default: 512; -1: until its end). JSON is complete in them",
           -1, kMostTokens);
  c.number("-c,--context", o.context,
           "Tokens to hold (default: what the model was trained on, 4096 at most)", 1, kMostTokens);
  c.cache_types(true);
  c.lora("A LoRA adapter of this model (GGUF), added while it runs");
  c.sampling();
  c.repeat_penalty();
  c.command->add_option("--seed", o.seed, "Same seed: the same result, row by row")->type_name("N");
  c.stops();
  c.json();
  c.command->add_flag("-v,--verbose", o.verbose, "Say the speed at the end");
}

}  // namespace enxuto
