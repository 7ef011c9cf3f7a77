// run: continues a text, or chats on a terminal.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/bytes.h"
#include "cli/chat.h"
#include "cli/commands.h"
#include "cli/generate.h"
#include "cli/json_output.h"
#include "cli/terminal_text.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"
#include "tokenizer/chat.h"

namespace enxuto {
namespace {

Result<std::vector<Token>> prompt_tokens(const Writer& writer, const std::string& prompt,
                                         bool chat) {
  const Tokenizer& tokenizer = writer.tokenizer();
  if (chat) {
    ASSIGN_OR_RETURN(const ChatTemplate form, ChatTemplate::create(writer.model().metadata));
    return form.encode(tokenizer, {{"user", prompt}}, /*add_generation_prompt=*/true);
  }
  std::vector<Token> tokens =
      tokenizer.encode(prompt, /*add_special=*/true, /*parse_special=*/false);
  if (tokens.empty() && tokenizer.bos() >= 0) tokens.push_back(tokenizer.bos());
  return tokens;
}

Status write_once(Writer& writer, const RunOptions& options, const std::string& prompt,
                  UsageReport& report) {
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, prompt_tokens(writer, prompt, options.chat));
  const bool terminal = is_terminal(Stream::kOutput);
  std::string all;
  auto show = [&](const std::string& text) {
    if (options.json) {
      all += text;
      return true;
    }
    const std::string shown = terminal ? printable(text, "\n\t") : text;
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    return std::fflush(stdout) == 0;
  };
  auto written = writer.write(tokens, show);
  if (std::ferror(stdout))
    return Status::failed(fmt::format("cannot write the output: {}", std::strerror(errno)));
  TRY(written.status());
  if (options.json)
    print_json(generation_json(all, *written));
  else if (terminal)
    fmt::print("\n");
  if (written->end == End::kInterrupted) return Status::interrupted();
  if (written->end == End::kContextFull)
    print_note(fmt::format("the context is full ({} tokens); a larger --context holds more",
                           format_count(writer.context())));
  if (options.verbose || (terminal && is_terminal(Stream::kError)))
    print_note(speed_text(*written) + "; memory: " + report.summary());
  if (const std::string text = stream_text(*written); !text.empty()) print_note(text);
  Json results = generation_json({}, *written);
  results.erase("text");
  return report.finish(results);
}

}  // namespace

Status run_command(const RunOptions& options) {
  for (const std::string& stop : options.stops)
    if (stop.empty()) return Status::usage("--stop is empty", "give the text to stop at");
  if (options.json && !options.prompt && is_terminal(Stream::kInput))
    return Status::usage("--json is for one answer, not for a chat", "give the prompt with -p");
  const bool typed = !options.prompt && is_terminal(Stream::kInput);
  if (typed && !is_terminal(Stream::kOutput))
    return Status::usage("there is no prompt", "give one with -p, or on standard input");
  std::string prompt = options.prompt.value_or("");
  if (!options.prompt && !typed) {
    ASSIGN_OR_RETURN(prompt, read_standard_input());
  }
  ASSIGN_OR_RETURN(const auto report, UsageReport::begin("run", options));
  ASSIGN_OR_RETURN(const auto writer, Writer::open(options));
  report->plan(writer->session().memory_map(), memory_budget(options));
  report->watch(writer->shared_model());
  if (!typed) return write_once(*writer, options, prompt, *report);
  TRY(chat(*writer, options));
  return report->finish(Json::object());
}

}  // namespace enxuto
