#include "cli/train_proposal.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/remaining_time.h"
#include "data/text_files.h"
#include "train/measured_speed.h"

namespace enxuto {
namespace {

Result<uint64_t> bytes_of(const std::vector<std::string>& data) {
  if (data.empty()) return uint64_t{0};
  ASSIGN_OR_RETURN(const std::vector<TextFile> files, find_text_files(data));
  uint64_t bytes = 0;
  for (const TextFile& file : files) bytes += file.bytes;
  return bytes;
}

Result<TrainingQuestion> question_of(const NewModelWish& wish) {
  TrainingQuestion question;
  question.seconds = wish.hours * 3600;
  question.memory_bytes = wish.memory_bytes;
  ASSIGN_OR_RETURN(const uint64_t bytes, bytes_of(wish.data));
  question.data_bytes = static_cast<uint64_t>(static_cast<double>(bytes) * (1 - wish.validation));
  question.kind = wish.kind;
  question.parameters = wish.parameters, question.vocabulary = wish.vocabulary;
  question.request = wish.request;
  return question;
}

const char* what_binds(Bound bound) {
  switch (bound) {
    case Bound::kTime:
      return "the time: more of it would make a larger model, or one that has read more";
    case Bound::kMemory:
      return "the memory: with more of it a larger model would learn better in that time";
    case Bound::kData:
      return "the data: what is read more than 4 times teaches hardly anything more";
  }
  return "";
}

}  // namespace

// How fast a model is depends on its width most, and its width on how fast it is.
Result<TrainingProposal> propose_here(const NewModelWish& wish, const Progress& progress) {
  constexpr int kTries = 3;
  constexpr double kGuess = 1e11;
  ASSIGN_OR_RETURN(TrainingQuestion question, question_of(wish));
  question.operations_per_second = kGuess;
  ASSIGN_OR_RETURN(TrainingProposal proposal, propose_training(question));
  for (int i = 0; i < kTries; ++i) {
    progress("measuring this machine", static_cast<double>(i) / kTries);
    ASSIGN_OR_RETURN(const double speed, measure_training(proposal));
    question.operations_per_second = speed * wish.request.ranks;
    const uint32_t width = proposal.shape.width;
    ASSIGN_OR_RETURN(proposal, propose_training(question));
    if (proposal.shape.width == width) break;
  }
  return proposal;
}

Json proposal_json(const TrainingProposal& p, double hours) {
  return {{"hours", hours},
          {"bound", bound_name(p.bound)},
          {"parameters", p.parameters},
          {"layers", p.shape.n_layers},
          {"width", p.shape.width},
          {"heads", p.shape.n_heads},
          {"ffn", p.shape.ffn_width},
          {"vocabulary", p.vocabulary},
          {"context", p.request.context},
          {"batch_size", p.request.sequences},
          {"steps", p.steps},
          {"tokens", p.tokens},
          {"tokens_per_parameter", p.tokens_per_parameter()},
          {"data_tokens", p.data_tokens > 0 ? Json(static_cast<uint64_t>(p.data_tokens)) : Json()},
          {"epochs", p.data_tokens > 0 ? Json(p.epochs()) : Json()},
          {"seconds", p.seconds},
          {"operations_per_second",
           training_operations(p.parameters, static_cast<double>(p.tokens)) / p.seconds}};
}

std::vector<std::string> proposal_lines(const TrainingProposal& p, double hours) {
  std::string reading = fmt::format("{} tokens, {:.2g} for each parameter", format_count(p.tokens),
                                    p.tokens_per_parameter());
  if (p.data_tokens > 0) reading += fmt::format(", the data about {:.2g} times", p.epochs());
  return {fmt::format("for {:.3g} h: {} parameters ({} layers of {}, a vocabulary of {}), context "
                      "{}, {} sequences a step",
                      hours, format_count(p.parameters), p.shape.n_layers, p.shape.width,
                      format_count(p.vocabulary), p.request.context, p.request.sequences),
          fmt::format("about {} steps: {}; {} here", format_count(p.steps), reading,
                      rough_time(p.seconds)),
          fmt::format("what binds is {}", what_binds(p.bound))};
}

}  // namespace enxuto
