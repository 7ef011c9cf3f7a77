#include "prune/expert_choice.h"

#include <algorithm>
#include <numeric>

namespace enxuto {
namespace {

constexpr uint32_t kRounds = 4;

// Sums of squares of what each expert adds to its tokens.
Result<std::vector<double>> energies_of(const HyperParameters& hyper, uint32_t layer,
                                        std::span<const uint8_t> gone, FitTexts& texts) {
  std::vector<double> energies(hyper.n_experts);
  ForwardHooks hooks;
  hooks.gone_experts = gone;
  hooks.on_expert = [&](uint32_t expert, const float* added, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n * hyper.width; ++i) sum += double{added[i]} * added[i];
    energies[expert] += sum;
  };
  TRY(texts.show(layer, std::move(hooks)));
  return energies;
}

}  // namespace

Result<ExpertChoice> choose_experts(const HyperParameters& hyper, uint32_t layer, uint32_t n_kept,
                                    FitTexts& texts) {
  ExpertChoice choice{layer, std::vector<uint32_t>(hyper.n_experts), {}, 0};
  std::iota(choice.kept.begin(), choice.kept.end(), 0);
  choice.gone.resize(hyper.n_experts);
  double all = 0;
  for (uint32_t round = 0; round < kRounds && choice.kept.size() > n_kept; ++round) {
    ASSIGN_OR_RETURN(const auto energies, energies_of(hyper, layer, choice.gone, texts));
    if (round == 0) all = std::accumulate(energies.begin(), energies.end(), 0.0);
    const size_t left = choice.kept.size() - n_kept, rounds = kRounds - round;
    std::ranges::stable_sort(choice.kept, std::greater(), [&](uint32_t e) { return energies[e]; });
    for (size_t i = 0; i < (left + rounds - 1) / rounds; ++i) {
      const uint32_t expert = choice.kept.back();
      choice.kept.pop_back();
      choice.gone[expert] = 1;
      if (all > 0) choice.lost += energies[expert] / all;
    }
    std::ranges::sort(choice.kept);
  }
  return choice;
}

}  // namespace enxuto
