#include "train/measured_speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "platform/clock.h"
#include "platform/interrupt.h"
#include "train/trainer.h"

namespace enxuto {
namespace {

constexpr uint32_t kMostLayers = 4, kMostTokens = 4 * kPassTokens;
constexpr int kSteps = 3;           // the first one touches the memory, and makes kernels
constexpr double kMostSeconds = 3;  // after so many one has to do

// Tokens that jump about, as in texts.
std::vector<Token> some_tokens(size_t n, uint32_t vocabulary) {
  std::vector<Token> tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = static_cast<Token>(i * i * 31 % vocabulary);
  return tokens;
}

}  // namespace

Result<double> measure_training(const TrainingProposal& proposal) {
  ModelShapeRequest shape = proposal.shape;
  shape.n_layers = std::min(shape.n_layers, kMostLayers);
  TrainerSettings settings;
  settings.request = proposal.request;
  settings.request.ranks = 1;
  settings.request.sequences =
      std::clamp(kMostTokens / proposal.request.context, 1u, proposal.request.sequences);
  ASSIGN_OR_RETURN(const auto model, placeholder_model(shape, proposal.vocabulary));
  ASSIGN_OR_RETURN(const auto trainer, Trainer::open(model, settings));
  const TrainingLayout& l = trainer->layout();
  const auto tokens = some_tokens(size_t{l.sequences} * (l.context + 1), proposal.vocabulary);
  const std::vector<uint8_t> counts(l.n_tokens, 1);
  double least = INFINITY;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i == 0 || (i < kSteps && seconds_since(start) < kMostSeconds); ++i) {
    const auto begin = std::chrono::steady_clock::now();
    TRY(trainer->step({tokens, counts}, 0).status());
    if (interrupted()) return Status::interrupted();
    least = std::min(least, seconds_since(begin));
  }
  return training_operations(l.n_parameters, static_cast<double>(l.n_tokens)) / least;
}

}  // namespace enxuto
