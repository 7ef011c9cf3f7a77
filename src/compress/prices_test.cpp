#include "compress/prices.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enxuto {
namespace {

// Seven layers of one matrix: 0, 1, 2, 5 and 6 are surveyed. What is measured falls by a constant
// factor from layer to layer, and each matrix is a little worse or better than that.
class PricesTest : public testing::Test {
 protected:
  static constexpr uint32_t kLayers = 7;

  PricesTest() {
    model_.tensors.resize(kLayers);
    model_.layers.resize(kLayers);
    for (uint32_t l = 0; l < kLayers; ++l) {
      Tensor& tensor = model_.tensors[l];
      tensor.type = Type::F16, tensor.shape[0] = 64, tensor.shape[1] = 32;
      model_.layers[l].up = &tensor;
      weights_.push_back({&tensor, l, &tensor, false});
      menus_.push_back({Type::Q4_0, Type::Q8_0, Type::F16});
    }
    survey_ = Survey(model_, false);
    for (uint32_t l = 0; l < kLayers; ++l) {
      const bool surveyed = survey_.has(model_.tensors[l]);
      sensitivities_.push_back(surveyed ? Sensitivity{kld(l), probe_codec(model_.tensors[l])}
                                        : Sensitivity());
      errors_.add({l, Type::Q4_0, true}, reference(l));
      if (!surveyed) continue;
      errors_.add({l, Type::Q4_0, false}, 2 * reference(l));
      errors_.add({l, Type::Q8_0, true}, reference(l) * ratio(l));
      errors_.add({l, Type::F16, true}, 0);
    }
  }

  static double reference(uint32_t l) { return 0.01 * (1 + 0.3 * std::cos(5.0 * l)); }
  static double ratio(uint32_t l) { return 0.005 * std::pow(1.1, l); }
  static double nats(uint32_t l) { return 3 * std::pow(0.8, l); }
  static double kld(uint32_t l) { return nats(l) * 2 * reference(l); }

  Prices prices() const { return Prices(task_, errors_, survey_); }

  Model model_;
  std::vector<Weight> weights_;
  std::vector<std::vector<Type>> menus_;
  std::vector<Sensitivity> sensitivities_;
  Importance importance_;
  ColumnScales scales_;
  Survey survey_;
  MeasuringTask task_{weights_, menus_, sensitivities_, importance_, scales_};
  MeasuredErrors errors_ = *MeasuredErrors::open(nullptr, weights_, kLayers);
};

TEST_F(PricesTest, WhatFallsByAConstantFactorIsMetExactly) {
  for (uint32_t l = 0; l < kLayers; ++l) {
    EXPECT_NEAR(prices().nats(l), nats(l), 1e-9 * nats(l)) << l;
    EXPECT_NEAR(prices().relative_error(l, Type::Q4_0), reference(l), 1e-12) << l;
    EXPECT_NEAR(prices().relative_error(l, Type::Q8_0), reference(l) * ratio(l), 1e-12) << l;
    EXPECT_EQ(prices().relative_error(l, Type::F16), 0) << l;
  }
}

TEST_F(PricesTest, AWeightThatIsSurveyedGoesByItsOwnFigures) {
  sensitivities_[2].kld = 0.5;
  errors_.add({2, Type::Q8_0, true}, 0.125);
  EXPECT_EQ(prices().nats(2), 0.5 / (2 * reference(2)));
  EXPECT_EQ(prices().relative_error(2, Type::Q8_0), 0.125);
}

TEST_F(PricesTest, AMatrixOfZerosTellsNothingOfTheOthers) {
  for (const Type type : {Type::Q4_0, Type::Q8_0}) errors_.add({2, type, true}, 0);
  errors_.add({2, Type::Q4_0, false}, 0);
  EXPECT_NEAR(prices().nats(3), nats(5), 1e-9);
  EXPECT_NEAR(prices().relative_error(3, Type::Q8_0), reference(3) * ratio(5), 1e-12);
  // Nor do two: a format still costs the more the fewer bits it has, four of them 256 times.
  for (const Type type : {Type::Q4_0, Type::Q8_0}) errors_.add({5, type, true}, 0);
  errors_.add({5, Type::Q4_0, false}, 0);
  EXPECT_NEAR(prices().relative_error(3, Type::Q4_0), reference(3), 1e-12);
  EXPECT_NEAR(prices().relative_error(3, Type::Q8_0), reference(3) / 256, 1e-12);
  EXPECT_EQ(prices().relative_error(3, Type::F16), 0);
  EXPECT_GT(prices().nats(3), 0);
}

TEST_F(PricesTest, AWeightWithoutAnErrorHasThatOfTheOthers) {
  errors_.add({4, Type::Q4_0, true}, 0);
  EXPECT_GT(prices().relative_error(4, Type::Q8_0),
            0.9 * std::min(reference(2) * ratio(2), reference(5) * ratio(5)));
}

}  // namespace
}  // namespace enxuto
