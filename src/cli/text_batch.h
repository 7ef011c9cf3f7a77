// Many prompts, an answer each: JSON lines into OUTPUT, in the order of the prompts. What is done
// lies in OUTPUT.batch/ until all is, and --resume goes on from there.
#pragma once

#include "cli/text_jobs.h"
#include "media/json_rules.h"
#include "platform/file.h"
#include "platform/work_folder.h"

namespace enxuto {

struct TextOptions : RunOptions {
  TextJob job = TextJob::kContinue;
  std::string schema_file;  // empty: none
  std::string batch_file;   // empty: one prompt; else output and field:
  std::string output;
  std::string field = "prompt";
  bool resume = false, force = false;
};

// What writes an answer.
struct TextWriter {
  Writer& writer;
  TextPrompts prompts;
  JsonRules* rules;  // null: none

  // kDoesNotFit where the context or -n has no room for it.
  Result<Generation> answer(const std::string& text, std::optional<uint64_t> number,
                            const std::function<bool(const std::string&)>& show);
};

class TextBatch {
 public:
  // Before the model is opened: kUsage where there is something already that the options do not
  // mention. Settles options.seed.
  static Result<TextBatch> open(TextOptions& options);
  // `schema`: its text. kUsage where what is there was begun in another way.
  Status run(const TextOptions& options, const std::string& schema, TextWriter& writer);
  void leave() { folder_.remove_if_empty(); }  // nothing is to go on with then

 private:
  explicit TextBatch(WorkFolder folder) : folder_(std::move(folder)) {}
  Status settle(const TextOptions& options, const std::string& schema, const Writer& writer);
  Status finish(const TextOptions& options);

  WorkFolder folder_;
  Json record_;  // of the run that is there; null: none is
};

}  // namespace enxuto
