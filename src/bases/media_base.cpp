#include "bases/media_base.h"

#include <algorithm>
#include <iterator>

namespace dlm {
namespace {

constexpr MediaBase kBases[] = {
    {"paligemma-3b-mix-224", Modality::kVisionLanguage, "Other", true},
    {"qwen2-vl-2b-instruct", Modality::kVisionLanguage, "Apache-2.0", false},
    {"internvl2-2b", Modality::kVisionLanguage, "MIT", false},
    {"internvl3-2b", Modality::kVisionLanguage, "Apache-2.0", false},
    {"mistral-small-3.1-24b-instruct", Modality::kVisionLanguage, "Apache-2.0", false},
    {"qwen2-audio-7b-instruct", Modality::kAudioLanguage, "Apache-2.0", false},
};

}  // namespace

const MediaBase* find_media_base(std::string_view key) {
  const auto* found = std::find_if(std::begin(kBases), std::end(kBases),
                                   [&](const MediaBase& b) { return b.key == key; });
  return found == std::end(kBases) ? nullptr : found;
}

const char* base_of(Modality modality) {
  return modality == Modality::kVisionLanguage ? "a vision-language base"
                                               : "an audio-language base";
}

}  // namespace dlm
