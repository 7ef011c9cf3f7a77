// The loss against a teacher, slice by slice, against its definition over whole rows, and its
// gradient against differences of that.
#include "kernels/distillation.h"

#include <numeric>

#include "kernels/finite_difference.h"

namespace enxuto {
namespace {

constexpr size_t kVocabulary = 100, kSlices[] = {0, 37, 64, kVocabulary};
template <class Body>
void for_slices(std::span<float> logits, const Body& body) {
  for (size_t s = 0; s < 3; ++s)
    body(logits.subspan(kSlices[s], kSlices[s + 1] - kSlices[s]), static_cast<int64_t>(kSlices[s]));
}

double log_sum(std::span<const float> logits) {
  double sum = 0;
  for (const float z : logits) sum += std::exp(double{z});
  return std::log(sum);
}

// By definition, of probabilities that are shares of their sum.
double kld(const Taught& taught, std::span<const float> logits) {
  double mass = 0, others = 1, sum = 0;
  for (const float log_p : taught.log_p) mass += std::exp(double{log_p});
  const auto share = [&](float log_p) { return std::exp(double{log_p}) / mass; };
  for (size_t i = 0; i < taught.tokens.size(); ++i) {
    const double q = std::exp(logits[static_cast<size_t>(taught.tokens[i])] - log_sum(logits));
    sum += share(taught.log_p[i]) * std::log(share(taught.log_p[i]) / q);
    others -= q;
  }
  const double rest = share(taught.log_p.back());
  return rest > 0 && others > 1e-12 ? sum + rest * std::log(rest / others) : sum;
}

struct Student {
  ExponentialSum sum;
  TaughtLoss loss;
};
Student measure(const Taught& taught, std::vector<float> logits) {
  Student student;
  for_slices(logits, [&](auto slice, int64_t first) {
    student.sum.add(slice);
    student.loss.add(taught, first, slice);
  });
  return student;
}

struct Row {
  std::vector<int32_t> tokens;
  std::vector<float> log_p;
  Taught taught() const { return {tokens, log_p}; }
};
// Tokens at ends of slices and side by side; a mass that misses 1 by rounding.
Row some_row() {
  const std::vector<double> p = {0.3, 0.05, 0.2, 0.15, 0.01, 0.1, 0.09, 0.1003};
  Row row{{0, 36, 37, 38, 63, 64, 99}, {}};
  for (const double each : p) row.log_p.push_back(static_cast<float>(std::log(each)));
  return row;
}

TEST(Distillation, LossIsThatOfWholeRows) {
  const Row row = some_row();
  for (const float spread : {1.0f, 5.0f, 30.0f}) {
    const auto logits = random_floats(kVocabulary, 1, spread);
    const Student student = measure(row.taught(), logits);
    const double expected = kld(row.taught(), logits);
    EXPECT_NEAR(student.loss.loss(row.taught(), student.sum), expected, 1e-5 * expected);
  }
}

TEST(Distillation, NothingIsLostWhereTheStudentSaysTheSame) {
  Row row = some_row();
  std::vector<float> logits(kVocabulary);
  const double rest = std::exp(row.log_p.back()) / static_cast<double>(kVocabulary - 7);
  std::ranges::fill(logits, static_cast<float>(std::log(rest)));
  for (size_t i = 0; i < row.tokens.size(); ++i)
    logits[static_cast<size_t>(row.tokens[i])] = row.log_p[i];
  const Student student = measure(row.taught(), logits);
  EXPECT_NEAR(student.loss.loss(row.taught(), student.sum), 0, 1e-6);
  mixed_gradient(student.loss, row.taught(), 1, student.sum, 5, 0, logits);
  for (const float gradient : logits) EXPECT_NEAR(gradient, 0, 1e-6);
}

TEST(Distillation, GradientIsThatOfTheMixedLoss) {
  const Row row = some_row();
  constexpr int64_t kLabels[] = {5, 37};  // one that the teacher does not name
  for (const float weight : {0.0f, 0.7f, 1.0f})
    for (const int64_t label : kLabels) {
      std::vector<float> logits = random_floats(kVocabulary, 2, 3), gradient = logits;
      const Student student = measure(row.taught(), logits);
      for_slices(gradient, [&](auto slice, int64_t first) {
        mixed_gradient(student.loss, row.taught(), weight, student.sum, label, first, slice);
      });
      const auto loss = [&] {
        const double entropy = log_sum(logits) - logits[static_cast<size_t>(label)];
        return weight * kld(row.taught(), logits) + (1 - weight) * entropy;
      };
      expect_gradient(logits, gradient, loss, 1e-3);
    }
}

// A vocabulary that the teacher names whole, and a student that gives all others nothing.
TEST(Distillation, IsANumberAtTheEnds) {
  Row all{std::vector<int32_t>(kVocabulary), std::vector<float>(kVocabulary + 1, -65504.0f)};
  std::iota(all.tokens.begin(), all.tokens.end(), 0);
  all.log_p[3] = 0;
  Row few = some_row();
  std::vector<float> logits(kVocabulary, -1000.0f);
  for (const int32_t token : few.tokens) logits[static_cast<size_t>(token)] = 1;
  for (const Row* row : {&all, &few}) {
    const Student student = measure(row->taught(), logits);
    EXPECT_TRUE(std::isfinite(student.loss.loss(row->taught(), student.sum)));
    std::vector<float> gradient = logits;
    mixed_gradient(student.loss, row->taught(), 0.9f, student.sum, 3, 0, gradient);
    for (const float each : gradient) ASSERT_TRUE(std::isfinite(each) && std::fabs(each) < 2);
  }
}

}  // namespace
}  // namespace enxuto
