#include "data/train_bpe.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/example.h"
#include "data/text_files.h"
#include "data/tokenize.h"
#include "platform/interrupt.h"
#include "tokenizer/bpe_training.h"

namespace enxuto {
namespace {

// Counts the words of files.
class WordCounter {
 public:
  WordCounter(BpeTrainer& trainer, const std::vector<TextFile>& files, const Progress& progress)
      : trainer_(trainer), progress_(progress) {
    for (const TextFile& file : files) all_bytes_ += file.bytes;
  }

  Status add(const TextFile& file) {
    TRY(file.json_lines ? add_json_lines(file) : add_text_file(file));
    done_bytes_ += file.bytes;
    return report(0);
  }

 private:
  Status add_text_file(const TextFile& file) {
    ASSIGN_OR_RETURN(InputFile input, InputFile::open(file.path));
    TextParts parts(std::move(input), cuts_);
    for (uint64_t bytes = 0;;) {
      ASSIGN_OR_RETURN(const std::string_view part, parts.next());
      if (part.empty() || (bytes == 0 && !looks_like_text(part))) return {};
      trainer_.add(part);
      bytes += part.size();
      TRY(report(bytes));
    }
  }

  Status add_json_lines(const TextFile& file) {
    ASSIGN_OR_RETURN(InputFile input, InputFile::open(file.path));
    TextLines lines(std::move(input), kMostLineBytes);
    for (;;) {
      ASSIGN_OR_RETURN(const TextLines::Line line, lines.next());
      if (line.end) return {};
      const auto example = parse_example(line.text);
      if (!example.ok()) continue;
      add_text(example->text);
      for (const ChatMessage& turn : example->turns) add_text(turn.content);
      TRY(report(lines.bytes()));
    }
  }

  void add_text(std::string_view text) {
    while (!text.empty()) {
      const size_t part = first_part(text, /*complete=*/true, cuts_);
      trainer_.add(text.substr(0, part));
      text.remove_prefix(part);
    }
  }

  Status report(uint64_t bytes_of_file) {
    if (interrupted()) return Status::interrupted();
    const uint64_t bytes = done_bytes_ + bytes_of_file;
    if (!progress_ || bytes < reported_ + kPartBytes) return {};
    reported_ = bytes;
    progress_("counting words",
              std::min(1.0, static_cast<double>(bytes) / static_cast<double>(all_bytes_)));
    return {};
  }

  BpeTrainer& trainer_;
  const Progress& progress_;
  TextCuts cuts_;
  uint64_t all_bytes_ = 0, done_bytes_ = 0, reported_ = 0;
};

}  // namespace

Result<Metadata> train_bpe(const std::vector<std::string>& paths, uint32_t n_tokens,
                           uint64_t memory_bytes, const Progress& progress) {
  TRY(BpeTrainer::check_size(n_tokens));
  ASSIGN_OR_RETURN(const std::vector<TextFile> files, find_text_files(paths));
  constexpr size_t kBytesPerWord = 512, kFewestWords = 4096;  // in the trainer's tables
  const size_t words = memory_bytes ? std::clamp<size_t>(memory_bytes / kBytesPerWord, kFewestWords,
                                                         BpeTrainer::kMostWords)
                                    : BpeTrainer::kMostWords;
  ASSIGN_OR_RETURN(BpeTrainer trainer, BpeTrainer::create(words));
  WordCounter counter(trainer, files, progress);
  for (const TextFile& file : files) TRY(counter.add(file));
  if (trainer.n_words() == 0)
    return Status::bad_input(fmt::format("no text in {}", paths[0]),
                             "give text files, folders of them, or JSON lines (.jsonl)");
  return trainer.train(n_tokens, progress);
}

}  // namespace enxuto
