// Bases that see or hear. Documents may name them, so they are known and called by their name; this
// program has no decoder for them and refuses to train or prompt them.
#pragma once

#include <string_view>

namespace dlm {

enum class Modality { kVisionLanguage, kAudioLanguage };

struct MediaBase {
  std::string_view key;
  Modality modality;
  std::string_view license;  // as in BaseInfo
  bool needs_acceptance;
};

// Null when no such base has that key.
const MediaBase* find_media_base(std::string_view key);

// "a vision-language base", "an audio-language base".
const char* base_of(Modality modality);

}  // namespace dlm
