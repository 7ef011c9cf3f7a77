// What to train in the time, the memory and the data one has. Pure: the machine's speed is told.
//
// C floating point operations make the best model of N parameters and D tokens where C = 6 N D and
// D = 20 N (Hoffmann et al., 2022). Texts read more than four times teach hardly anything more
// (Muennighoff et al., 2023), so of few texts a smaller model learns. A step is of 0.292 C^0.3271
// tokens (DeepSeek LLM: Bi et al., 2024). What is made of less memory is smaller and reads more.
#pragma once

#include "memory/memory_map.h"
#include "models/blank.h"
#include "plan/training.h"

namespace enxuto {

inline constexpr double kTokensPerParameter = 20, kUsefulEpochs = 4;
inline constexpr uint32_t kByteVocabulary = 257;

// C, of so many parameters and tokens.
double training_operations(uint64_t parameters, double tokens);

// Tokens of a vocabulary that suits a new model: bytes of a small one, more of a larger one.
uint32_t suitable_vocabulary(uint64_t parameters);
// Of prose. An estimate, of vocabularies made from the text itself.
double bytes_per_token(uint32_t vocabulary);

// A model of this shape without weights, and with so many tokens that nobody named yet: to plan
// with, and to measure.
Result<std::shared_ptr<const Model>> placeholder_model(const ModelShapeRequest& shape,
                                                       uint32_t vocabulary);
// What the tables of such a tokenizer take (estimate).
uint64_t tokenizer_bytes_of(uint32_t vocabulary);

struct TrainingQuestion {
  double seconds = 0;
  double operations_per_second = 0;  // of C
  uint64_t memory_bytes = 0;
  uint64_t data_bytes = 0;  // of texts to learn from; 0: as many as one likes
  ModelShapeRequest kind;   // its architecture
  uint64_t parameters = 0;  // these four: 0 is to be chosen
  uint32_t vocabulary = 0;
  TrainingRequest request;  // its context and sequences
};

enum class Bound { kTime, kMemory, kData };
const char* bound_name(Bound bound);

struct TrainingProposal {
  ModelShapeRequest shape;
  uint32_t vocabulary = 0;
  uint64_t parameters = 0;
  TrainingRequest request;  // with context, sequences and passes that fit
  MemoryMap map;
  uint64_t steps = 0, tokens = 0;  // tokens: of all steps
  double data_tokens = 0;          // there are, an estimate; 0: as many as one likes
  double seconds = 0;              // that it takes: all of them, but where the data ends before
  Bound bound = Bound::kTime;      // what a better model would need more of

  double tokens_per_parameter() const {
    return static_cast<double>(tokens) / static_cast<double>(parameters);
  }
  double epochs() const { return data_tokens > 0 ? static_cast<double>(tokens) / data_tokens : 0; }
};

// kDoesNotFit where the memory has no room for the smallest useful model, or for the one of the
// size that was asked for; kUsage where that size has no room for the vocabulary.
Result<TrainingProposal> propose_training(const TrainingQuestion& question);

// Steps that so many seconds have room for, with the validations of a run: `validation_steps` is
// what one takes, in steps.
uint64_t steps_within(double seconds, double seconds_per_step, double validation_steps);

}  // namespace enxuto
