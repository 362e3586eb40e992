// Section ids: the first 16 hex digits of a SHA-256. Old stores hold them, so the hashed bytes are
// fixed.
#include "doc/section.h"

#include "support/hash.h"
#include "support/text.h"

namespace dlm {

const char* section_type_word(SectionType type) {
  switch (type) {
    case SectionType::kProse:
      return "prose";
    case SectionType::kInstruction:
      return "instruction";
    case SectionType::kPreference:
      return "preference";
    case SectionType::kImage:
      return "image";
    case SectionType::kAudio:
      break;
  }
  return "audio";
}

std::string section_id(const Section& section) {
  Sha256 hash;
  hash.update(std::string(section_type_word(section.type)) + "\n");
  if (section.is_media()) {
    hash.update(section.media_path);
    if (section.media_blob_sha) hash.update("\n" + *section.media_blob_sha);
  } else if (is_normal_text(section.content)) {
    hash.update(section.content.view());
  } else {
    hash.update(normalize_newlines(section.content));
  }
  return hash.hex().substr(0, 16);
}

}  // namespace dlm
