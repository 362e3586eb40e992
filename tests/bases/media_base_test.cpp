// Bases that see or hear, and licences that must be accepted.
#include "bases/registry.h"

#include <gtest/gtest.h>

#include "bases/license.h"

namespace dlm {
namespace {

TEST(MediaBase, IsKnownByItsExactKey) {
  const BaseInfo* base = find_media_base("qwen2-audio-7b-instruct");
  ASSERT_NE(base, nullptr);
  EXPECT_STREQ(base_of(base->modality), "an audio-language base");
  EXPECT_STREQ(base_of(find_media_base("paligemma-3b-mix-224")->modality),
               "a vision-language base");
  EXPECT_EQ(find_media_base("qwen2.5-1.5b"), nullptr);
}

TEST(MediaBase, HasAPlanOfWhatItSeesOrHears) {
  EXPECT_EQ(media_bases().size(), 6u);
  for (const BaseInfo& base : media_bases()) {
    EXPECT_GT(base.media.num_tokens, 0) << base.key;
    EXPECT_FALSE(base.media.token.empty()) << base.key;
    EXPECT_EQ(base.media.height > 0, base.modality == Modality::kVisionLanguage) << base.key;
    EXPECT_EQ(base.media.sample_rate > 0, base.modality == Modality::kAudioLanguage) << base.key;
    EXPECT_EQ(find_base(base.key), nullptr);
    EXPECT_EQ(find_any_base(base.key), &base);
  }
}

TEST(GatedLicense, HasAnAddressForEveryBaseThatAsksForConsent) {
  size_t num_gated = 0;
  for (const BaseInfo& base : known_bases()) {
    const auto license = gated_license(base.key);
    EXPECT_EQ(license.has_value(), base.needs_acceptance) << base.key;
    if (!license) continue;
    ++num_gated;
    EXPECT_TRUE(license->url.starts_with("https://")) << base.key;
    EXPECT_EQ(license->spdx, base.license);
  }
  EXPECT_EQ(num_gated, 5u);
  EXPECT_EQ(gated_license("paligemma-3b-mix-224")->url, "https://ai.google.dev/gemma/terms");
  EXPECT_FALSE(gated_license("qwen2-vl-2b-instruct"));
  EXPECT_FALSE(gated_license("./folder"));
}

}  // namespace
}  // namespace dlm
