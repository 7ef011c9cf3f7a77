#include "plan/training_proposal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace enxuto {
namespace {

constexpr double kOperations = 6;  // of a parameter and a token: 2 there, 4 back
constexpr uint64_t kLeastParameters = 100'000;
constexpr double kSmaller = 0.9;  // the next size to try where one does not fit
constexpr std::array<uint32_t, 3> kVocabularies = {16384, 4096, kByteVocabulary};

// Small models have little to say of what is far away.
uint32_t suitable_context(double parameters) {
  return parameters < 5e6 ? 256 : parameters < 50e6 ? 512 : 1024;
}

// Tokens that a model of this size may read: as many as there is time for, or are worth it.
double useful_tokens(const TrainingQuestion& q, const TrainingProposal& p) {
  const double in_time = q.seconds * q.operations_per_second / training_operations(p.parameters, 1);
  return p.data_tokens > 0 ? std::min(in_time, kUsefulEpochs * p.data_tokens) : in_time;
}

uint32_t suitable_sequences(const TrainingQuestion& q, const TrainingProposal& p,
                            uint32_t context) {
  const double operations = training_operations(p.parameters, useful_tokens(q, p));
  double sequences = std::round(0.292 * std::pow(operations, 0.3271) / context);
  if (p.data_tokens > 0) sequences = std::min(sequences, p.data_tokens / context);
  return static_cast<uint32_t>(std::clamp(sequences, 1.0, 65536.0));
}

// A shape of about so many parameters, with as many sequences as suit, or the memory has room for.
Status fit_size(const TrainingQuestion& q, double wanted, TrainingProposal& p) {
  TrainingRequest request = q.request;
  if (!request.context) request.context = suitable_context(wanted);
  ModelShapeRequest kind = q.kind;
  kind.context = request.context;
  ASSIGN_OR_RETURN(p.shape, shape_of_size(static_cast<uint64_t>(wanted), p.vocabulary, kind));
  p.parameters = parameters_of(p.shape, p.vocabulary);
  if (!request.sequences) request.sequences = suitable_sequences(q, p, request.context);
  request.tokenizer_bytes = tokenizer_bytes_of(p.vocabulary);
  ASSIGN_OR_RETURN(const auto model, placeholder_model(p.shape, p.vocabulary));
  for (;; request.sequences /= 2) {
    const auto fitting = fit_training(*model, request, q.memory_bytes);
    if (!fitting.ok() && (q.request.sequences || request.sequences == 1)) return fitting.status();
    if (!fitting.ok()) continue;
    p.request = *fitting;
    ASSIGN_OR_RETURN(p.map, plan_training(*model, *fitting));
    return {};
  }
}

// The steps of a model that is chosen.
void fill_steps(const TrainingQuestion& q, TrainingProposal& p) {
  const double tokens = useful_tokens(q, p);
  const uint64_t a_step = uint64_t{p.request.sequences} * p.request.context;
  const bool reads_all = p.data_tokens > 0 && tokens >= kUsefulEpochs * p.data_tokens;
  if (reads_all && p.bound == Bound::kTime) p.bound = Bound::kData;
  p.steps = static_cast<uint64_t>(std::max(1.0, std::floor(tokens / static_cast<double>(a_step))));
  p.tokens = p.steps * a_step;
  p.seconds =
      training_operations(p.parameters, static_cast<double>(p.tokens)) / q.operations_per_second;
}

Result<TrainingProposal> propose_with(const TrainingQuestion& q, uint32_t vocabulary) {
  TrainingProposal p;
  p.vocabulary = vocabulary;
  p.data_tokens = static_cast<double>(q.data_bytes) / bytes_per_token(vocabulary);
  double wanted = static_cast<double>(q.parameters);
  if (!q.parameters) {
    wanted = std::sqrt(q.seconds * q.operations_per_second / kOperations / kTokensPerParameter);
    if (q.data_bytes)
      wanted = std::min(wanted, kUsefulEpochs * p.data_tokens / kTokensPerParameter);
    wanted = std::max(wanted, double{kLeastParameters});
  }
  for (;; wanted *= kSmaller) {
    const Status fits = fit_size(q, wanted, p);
    if (fits.ok()) break;
    if (fits.code() != Code::kDoesNotFit || q.parameters || wanted * kSmaller < kLeastParameters)
      return fits;
    p.bound = Bound::kMemory;
  }
  fill_steps(q, p);
  return p;
}

}  // namespace

double training_operations(uint64_t parameters, double tokens) {
  return kOperations * static_cast<double>(parameters) * tokens;
}

uint32_t suitable_vocabulary(uint64_t parameters) {
  return parameters >= 50'000'000  ? kVocabularies[0]
         : parameters >= 2'000'000 ? kVocabularies[1]
                                   : kVocabularies[2];
}

double bytes_per_token(uint32_t vocabulary) {
  constexpr double kOfEachDoubling = 0.55;
  return 1 + kOfEachDoubling * std::log2(std::max(1.0, vocabulary / double{kByteVocabulary}));
}

uint64_t tokenizer_bytes_of(uint32_t vocabulary) {
  constexpr uint64_t kOfEachToken = 128;
  return vocabulary * kOfEachToken;
}

Result<std::shared_ptr<const Model>> placeholder_model(const ModelShapeRequest& shape,
                                                       uint32_t vocabulary) {
  Metadata tokenizer;
  tokenizer.set_strings("tokenizer.ggml.tokens", std::vector<std::string_view>(vocabulary, "-"));
  return blank_model(shape, tokenizer);
}

const char* bound_name(Bound bound) {
  switch (bound) {
    case Bound::kTime:
      return "time";
    case Bound::kMemory:
      return "memory";
    case Bound::kData:
      return "data";
  }
  return "";
}

// The largest vocabulary that suits the model that comes out with it.
Result<TrainingProposal> propose_training(const TrainingQuestion& q) {
  if (q.vocabulary) return propose_with(q, q.vocabulary);
  if (q.parameters) return propose_with(q, suitable_vocabulary(q.parameters));
  for (const uint32_t vocabulary : kVocabularies) {
    Result<TrainingProposal> p = propose_with(q, vocabulary);
    if (vocabulary == kByteVocabulary ||
        (p.ok() && suitable_vocabulary(p->parameters) >= vocabulary))
      return p;
  }
  return Status::failed("no vocabulary is known");
}

// As run_settings() has it: 20 validations at most, which take no more than so much of the time.
uint64_t steps_within(double seconds, double seconds_per_step, double validation_steps) {
  constexpr double kValidations = 20, kTheirShare = 0.05;
  const double steps = seconds / seconds_per_step;
  const double spent = std::min(kValidations * validation_steps, kTheirShare * steps);
  return static_cast<uint64_t>(std::max(1.0, std::floor(steps - spent)));
}

}  // namespace enxuto
