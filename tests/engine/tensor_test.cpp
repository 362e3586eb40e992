// Tensors and number types: rounding to bf16, widening of f16, views and copies.
#include "engine/tensor.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/numbers.h"
#include "engine/parameter.h"
#include "support/error.h"

namespace dlm {
namespace {

uint16_t bits(float x) {
  return to_bf16(x).bits;
}

TEST(Bf16, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(bits(1.0f), 0x3f80);
  EXPECT_EQ(bits(1.0f + 0x1p-8f), 0x3f80) << "a tie goes to the even neighbour below";
  EXPECT_EQ(bits(1.0f + 0x3p-8f), 0x3f82) << "a tie goes to the even neighbour above";
  EXPECT_EQ(bits(1.0f + 0x1p-8f + 0x1p-23f), 0x3f81);
  EXPECT_EQ(bits(-1.0f - 0x3p-8f), 0xbf82);
  EXPECT_EQ(bits(0.0f), 0x0000);
  EXPECT_EQ(bits(-0.0f), 0x8000);
}

TEST(Bf16, KeepsInfinitiesAndNotANumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(bits(infinity), 0x7f80);
  EXPECT_EQ(bits(-infinity), 0xff80);
  EXPECT_EQ(bits(std::numeric_limits<float>::max()), 0x7f80) << "rounds up to infinity";
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  float barely;
  const uint32_t pattern = 0x7f800001U;
  std::memcpy(&barely, &pattern, sizeof(barely));
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(barely)))) << "its mantissa bits are all cut off";
}

TEST(Bf16, EveryValueSurvivesTheWayThereAndBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const BF16 value{static_cast<uint16_t>(i)};
    if (std::isnan(to_f32(value))) continue;
    ASSERT_EQ(to_bf16(to_f32(value)).bits, i);
  }
}

TEST(F16, WidensNormalSubnormalAndSpecialNumbers) {
  EXPECT_EQ(f16_to_f32(0x3c00), 1.0f);
  EXPECT_EQ(f16_to_f32(0xc000), -2.0f);
  EXPECT_EQ(f16_to_f32(0x7bff), 65504.0f);
  EXPECT_EQ(f16_to_f32(0x0001), 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x83ff), -1023 * 0x1p-24f);
  EXPECT_EQ(f16_to_f32(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(f16_to_f32(0x7e00)));
}

TEST(Tensor, ZerosAreAlignedAndOwned) {
  Tensor t = Tensor::zeros({3, 5}, DType::kBF16);
  EXPECT_EQ(t.numel(), 15);
  EXPECT_EQ(t.size_bytes(), 30u);
  EXPECT_EQ(t.owned_bytes(), 30u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data()) % 64, 0u);
  for (int64_t i = 0; i < 15; ++i) EXPECT_EQ(t.bf16()[i].bits, 0);
}

TEST(Tensor, AViewKeepsItsOwnerAliveAndIsNotWritten) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor t = Tensor::view({2, 2}, DType::kF32, owner->data(), owner);
  owner.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(t.f32()[3], 4.0f);
  EXPECT_EQ(t.owned_bytes(), 0u);
  EXPECT_THROW(t.mutable_data(), Error);
  t = Tensor();
  EXPECT_TRUE(watch.expired());
}

TEST(Tensor, CastConvertsEachElement) {
  Tensor wide = Tensor::zeros({40}, DType::kF32);
  const auto x = numbers(40, 1, 100.0);
  std::memcpy(wide.mutable_data(), x.data(), wide.size_bytes());
  const Tensor narrow = wide.cast(DType::kBF16);
  const Tensor back = narrow.cast(DType::kF32);
  for (int64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(narrow.bf16()[i].bits, to_bf16(x[static_cast<size_t>(i)]).bits);
    EXPECT_EQ(back.f32()[i], to_f32(narrow.bf16()[i]));
  }
  const uint16_t halves[] = {0x3c00, 0xc000};
  const Tensor f16 = Tensor::view({2}, DType::kF16, halves, nullptr);
  EXPECT_EQ(f16.cast(DType::kF32).f32()[1], -2.0f);
}

TEST(Tensor, ShapesReadAsText) {
  EXPECT_EQ(shape_text({2, 24, 272}), "[2, 24, 272]");
  EXPECT_EQ(shape_text({}), "[]");
}

TEST(Tensor, MemoryThatDoesNotExistIsAnError) {
  EXPECT_THROW(allocate_aligned(size_t{1} << 62), Error);
}

TEST(Parameter, ABf16WeightTrainsThroughItsMasterCopy) {
  Parameter p;
  p.value = Tensor::zeros({2, 2}, DType::kF32).cast(DType::kBF16);
  p.make_trainable();
  p.trained_elements()[3] = 1.00001f;
  EXPECT_EQ(p.value.bf16()[3].bits, 0) << "not published yet";
  p.publish();
  EXPECT_EQ(p.value.bf16()[3].bits, 0x3f80);
  EXPECT_EQ(p.grad.numel(), 4);
}

TEST(Parameter, AMappedF32WeightIsCopiedBeforeItTrains) {
  const float mapped[] = {1, 2};
  Parameter p;
  p.value = Tensor::view({2}, DType::kF32, mapped, nullptr);
  p.make_trainable();
  p.trained_elements()[0] = 5.0f;
  EXPECT_EQ(mapped[0], 1.0f);
  EXPECT_EQ(p.value.f32()[0], 5.0f);
}

TEST(Random, DrawsDependOnTheirKeyOnly) {
  EXPECT_EQ(random_key({1, 2, 3}), random_key({1, 2, 3}));
  EXPECT_NE(random_key({1, 2, 3}), random_key({1, 3, 2}));
  EXPECT_NE(random_key({1}), random_key({1, 0}));
}

// A million draws: mean within 5 deviations (0.001), variance within 0.5%.
TEST(Random, NormalsHaveMeanZeroAndVarianceOne) {
  double sum = 0, squares = 0;
  constexpr int64_t kDraws = 1000000;
  for (int64_t i = 0; i < kDraws; ++i) {
    const double x = normal(random_key({9, static_cast<uint64_t>(i)}));
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.005);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.005);
}

}  // namespace
}  // namespace dlm
