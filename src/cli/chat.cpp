#include "cli/chat.h"

#include <editline/readline.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/bytes.h"
#include "cli/terminal_text.h"
#include "platform/interrupt.h"
#include "platform/limit_watch.h"
#include "tokenizer/chat.h"

namespace enxuto {
namespace {

constexpr const char* kHelp =
    "  /clear  forget the conversation\n"
    "  /exit   leave (also Ctrl-D)\n"
    "  /help   this\n"
    "Ctrl-C stops an answer.\n";

// A line from the editor, which handles Ctrl-C itself; nothing at the end of input.
std::optional<std::string> read_line() {
  remove_interrupt_handler();
  char* line = readline("> ");
  install_interrupt_handler();
  if (!line) return std::nullopt;
  std::string text = line;
  std::free(line);
  if (!text.empty()) add_history(text.c_str());
  return text;
}

// Answers the last message, and adds the answer to the conversation.
Status answer(Writer& writer, const ChatTemplate& form, std::vector<ChatMessage>& conversation,
              bool verbose) {
  ASSIGN_OR_RETURN(const std::vector<Token> prompt,
                   form.encode(writer.tokenizer(), conversation, /*add_generation_prompt=*/true));
  std::string said;
  clear_interrupt();
  const auto written = writer.write(prompt, [&](const std::string& text) {
    said += text;
    fmt::print("{}", printable(text, "\n\t"));
    return std::fflush(stdout) == 0;
  });
  if (const auto fell = memory_limit_fell()) return *fell;
  const bool stopped = interrupted();
  clear_interrupt();
  fmt::print("\n");
  if (!written.ok() && !stopped) return written.status();
  conversation.push_back({"assistant", said});
  if (stopped) {
    print_note("stopped");
  } else if (written->end == End::kContextFull) {
    print_note(fmt::format("the context is full ({} tokens); /clear starts afresh",
                           format_count(writer.context())));
  } else if (verbose) {
    print_note(speed_text(*written));
    if (const std::string text = stream_text(*written); !text.empty()) print_note(text);
  }
  return {};
}

}  // namespace

Status chat(Writer& writer, const RunOptions& options) {
  ASSIGN_OR_RETURN(const ChatTemplate form, ChatTemplate::create(writer.model().metadata));
  print_note("/help lists what there is; Ctrl-D leaves");
  std::vector<ChatMessage> conversation;
  while (const auto line = read_line()) {
    if (line->find_first_not_of(" \t") == std::string::npos) continue;
    if (*line == "/exit") return {};
    if (*line == "/help") {
      fmt::print("{}", kHelp);
    } else if (*line == "/clear") {
      conversation.clear();
    } else if (line->front() == '/') {
      print_note("no such command; /help lists what there is");
    } else {
      conversation.push_back({"user", *line});
      const Status status = answer(writer, form, conversation, options.verbose);
      if (status.code() == Code::kDoesNotFit) {
        conversation.pop_back();
        print_note(status.what() + "; /clear starts afresh");
      } else {
        TRY(status);
      }
    }
  }
  fmt::print("\n");
  return {};
}

}  // namespace enxuto
