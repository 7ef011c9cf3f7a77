// What tests of training share: texts to learn, and gradients against differences of the loss.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "train/trainer.h"

namespace enxuto {

// Longer than a block of attention and than a window.
inline constexpr uint32_t kTextTokens = 70, kTexts = 3;

struct TrainingTexts {
  std::vector<Token> tokens;
  std::vector<uint8_t> counts;
  Batch batch() const { return {tokens, counts}; }
};

inline TrainingTexts training_texts() {
  TrainingTexts texts;
  for (uint32_t text = 0; text < kTexts; ++text)
    for (uint32_t t = 0; t <= kTextTokens; ++t) {
      texts.tokens.push_back(static_cast<Token>(3 + (t * t * 31 + text * 17) % 285));
      if (t < kTextTokens) texts.counts.push_back(t % 5 != 0);
    }
  return texts;
}

// Of these texts, in two passes; gradients as they are.
inline TrainerSettings training_settings() {
  TrainerSettings settings;
  settings.request.context = kTextTokens, settings.request.sequences = kTexts;
  settings.request.pass_sequences = 2;
  settings.request.n_threads = 2;
  settings.clip = 0;
  return settings;
}

// Such that a step of rate 1 moves weights by the gradient itself.
inline TrainerSettings plain_steps(TrainerSettings settings) {
  settings.request.optimizer = Optimizer::kSgd;
  settings.beta1 = 0, settings.weight_decay = 0;
  return settings;
}

// By slot.
inline std::vector<std::vector<float>> learned_values(Trainer& trainer) {
  std::vector<std::vector<float>> all;
  for (const auto& slot : trainer.slots()) {
    all.emplace_back(slot.tensor->count());
    slot.tensor->codec().decode(slot.weights.data(), all.back().data(), all.back().size());
  }
  return all;
}

// What a teacher might say of them.
inline constexpr uint32_t kTaughtTop = 8;
inline void put_taught(const Trainer& trainer, uint32_t texts = kTexts) {
  for (uint32_t text = 0; text < texts; ++text) {
    const TaughtRows rows = trainer.taught(text);
    const size_t n = rows.tokens.size() / kTaughtTop;
    for (size_t t = 0; t < n; ++t)
      for (size_t j = 0; j <= kTaughtTop; ++j) {
        const size_t p = (j + t) % (kTaughtTop + 1) + 1;  // 1 … 9 of 45
        rows.log_p[t * (kTaughtTop + 1) + j] = static_cast<float>(std::log(p / 45.0));
        if (j < kTaughtTop)
          rows.tokens[t * kTaughtTop + j] = static_cast<Token>(36 * j + (5 * t + 7 * text) % 36);
      }
  }
}

// What the trainer minimizes.
inline double objective(Trainer& trainer, const Batch& batch,
                        float teacher_weight = kTeacherWeight) {
  const auto done = trainer.loss(batch);
  if (!done->kld) return done->loss;
  return teacher_weight * *done->kld + (1 - teacher_weight) * done->loss;
}

// Of each n-th slot of a trainer of F32 weights that makes plain steps. Along its own gradient the
// loss rises by the gradient's square.
inline void expect_gradients_of_the_loss(Trainer& trainer, const Batch& batch, size_t each = 1) {
  const auto before = learned_values(trainer);
  ASSERT_TRUE(trainer.step(batch, 1).ok());
  const auto after = learned_values(trainer);
  const auto slots = trainer.slots();
  for (size_t t = 0; t < slots.size(); ++t)
    std::memcpy(slots[t].weights.data(), before[t].data(), slots[t].weights.size());
  for (size_t t = 0; t < slots.size(); t += each) {
    SCOPED_TRACE(slots[t].tensor->name);
    std::vector<double> gradient(before[t].size());
    double squares = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] = double{before[t][i]} - after[t][i];
      squares += gradient[i] * gradient[i];
    }
    if (!slots[t].moments) {
      EXPECT_EQ(squares, 0) << "it does not learn";
      continue;
    }
    ASSERT_GT(squares, 0);
    const double step = 0.01 / squares;  // changes the loss by 0.01 nats
    auto* weights = reinterpret_cast<float*>(slots[t].weights.data());
    const auto loss_at = [&](double along) {
      for (size_t i = 0; i < gradient.size(); ++i)
        weights[i] = static_cast<float>(before[t][i] + along * gradient[i]);
      return objective(trainer, batch);
    };
    const auto difference = [&](double by) { return loss_at(by) - loss_at(-by); };
    EXPECT_NEAR((8 * difference(step) - difference(2 * step)) / 6 / 0.02, 1, 0.005);
    std::memcpy(weights, before[t].data(), slots[t].weights.size());
  }
}

}  // namespace enxuto
