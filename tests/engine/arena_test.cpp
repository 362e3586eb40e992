// Arenas: pieces do not overlap, are aligned, and live as long as somebody holds them.
#include "engine/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/tensor.h"
#include "support/error.h"

namespace dlm {
namespace {

TEST(Arena, GivesPiecesOfTheirOwn) {
  Arena arena;
  std::vector<std::pair<std::shared_ptr<std::byte>, size_t>> pieces;
  for (size_t i = 0; i < 200; ++i) {
    // Small ones, large ones, none at all, and one that is larger than any common piece.
    const size_t size = i == 150 ? size_t{40} << 20 : i % 7 * 12345 + i % 5;
    pieces.emplace_back(arena.allocate(size), size);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(pieces.back().first.get()) % 64, 0U);
    if (size > 0) std::memset(pieces.back().first.get(), static_cast<int>(i), size);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto& [memory, size] = pieces[i];
    for (size_t at = 0; at < size; at += 97) {
      ASSERT_EQ(std::to_integer<int>(memory.get()[at]), static_cast<int>(i)) << i << ", " << at;
    }
  }
}

TEST(Arena, LeavesWhatItGaveToThoseWhoHoldIt) {
  Tensor tensor;
  {
    Arena arena;
    arena.allocate(1000);
    tensor = Tensor::zeros({100, 3}, DType::kF32, &arena);
    arena.allocate(1000);
  }
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    ASSERT_EQ(tensor.f32()[i], 0.0f);
    tensor.mutable_f32()[i] = 1.0f;
  }
  EXPECT_EQ(tensor.owned_bytes(), 1200U);
}

TEST(Arena, PutsNeighboursSideBySideOnceItIsLarge) {
  Arena arena;
  constexpr size_t kSize = size_t{100} << 10;
  std::vector<std::shared_ptr<std::byte>> pieces;
  for (int i = 0; i < 400; ++i) pieces.push_back(arena.allocate(kSize));
  int num_neighbours = 0;
  for (size_t i = 1; i < pieces.size(); ++i) {
    num_neighbours += pieces[i].get() - pieces[i - 1].get() == kSize ? 1 : 0;
  }
  EXPECT_GT(num_neighbours, 380);
}

TEST(Arena, RefusesWhatNoMachineHas) {
  Arena arena;
  for (const size_t size : {SIZE_MAX, SIZE_MAX - 62, SIZE_MAX / 2, SIZE_MAX / 4}) {
    EXPECT_THROW(arena.allocate(size), Error) << size;
    EXPECT_THROW(allocate_aligned(size), Error) << size;
  }
}

}  // namespace
}  // namespace dlm
