// The sixteen levels of 4-bit NormalFloat (Dettmers et al. 2023, QLoRA, appendix E): quantiles of a
// standard normal, scaled to [-1, 1], with an exact zero.
#pragma once

namespace dlm {

inline constexpr int kNf4Levels = 16;
inline constexpr int kNf4Zero = 7;  // the code of 0.0

alignas(64) inline constexpr float kNf4Values[kNf4Levels] = {
    -1.0f,          -0.696192801f, -0.525073051f, -0.394917488f, -0.284441382f, -0.184773430f,
    -0.0910500363f, 0.0f,          0.0795802996f, 0.160930201f,  0.246112302f,  0.337915242f,
    0.440709829f,   0.562617004f,  0.722956836f,  1.0f,
};

// Between level i and i + 1: a number above it is nearer to level i + 1.
inline constexpr float nf4_midpoint(int i) {
  return 0.5f * (kNf4Values[i] + kNf4Values[i + 1]);
}

}  // namespace dlm
