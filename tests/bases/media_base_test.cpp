// Bases that see or hear, and licences that must be accepted.
#include "bases/media_base.h"

#include <gtest/gtest.h>

#include "bases/license.h"
#include "bases/registry.h"

namespace dlm {
namespace {

TEST(MediaBase, IsKnownByItsExactKey) {
  const MediaBase* base = find_media_base("qwen2-audio-7b-instruct");
  ASSERT_NE(base, nullptr);
  EXPECT_STREQ(base_of(base->modality), "an audio-language base");
  EXPECT_STREQ(base_of(find_media_base("paligemma-3b-mix-224")->modality),
               "a vision-language base");
  EXPECT_EQ(find_media_base("qwen2.5-1.5b"), nullptr);
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
