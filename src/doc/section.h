// One typed piece of a document's body, and the id by which stores know it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "support/shared_text.h"

namespace dlm {

enum class SectionType { kProse, kInstruction, kPreference, kImage, kAudio };

// "prose", "instruction", "preference", "image", "audio".
const char* section_type_word(SectionType type);

// Where a section came from when a program wrote it; each is a marker line at the section's head.
struct HarvestMark {
  std::string source;
  bool operator==(const HarvestMark&) const = default;
};

struct MinedMark {  // preference sections only
  std::string judge_name;
  double judge_score_chosen = 0;
  double judge_score_rejected = 0;
  std::string mined_at;  // as written
  int64_t mined_run_id = 0;
  bool operator==(const MinedMark&) const = default;
};

struct SynthMark {  // instruction sections only
  std::string synth_teacher;
  std::string synth_strategy;
  std::string synth_at;  // as written
  std::string source_section_id;
  bool operator==(const SynthMark&) const = default;
};

struct Section {
  SectionType type = SectionType::kProse;
  SharedText content;  // the lines between fences, joined by LF; markers removed
  int start_line =
      0;  // file line of the fence, or of the first line of leading prose; 0: not in a file
  int content_line = 0;  // file line of the first line of `content`
  std::optional<std::string> adapter;
  // Set by source directives only: the file that the section is, for messages; its tags; how often
  // its rows are trained, 1 being once.
  std::string source_path;
  std::map<std::string, std::string> tags;
  double weight = 1;
  std::optional<HarvestMark> harvest;
  std::optional<MinedMark> mined;
  std::optional<SynthMark> synth;
  std::string media_path;  // image and audio
  std::optional<std::string> media_alt;
  std::optional<std::string> media_transcript;
  std::optional<std::string> media_blob_sha;  // 64 hex digits, once the bytes are known

  bool is_media() const { return type == SectionType::kImage || type == SectionType::kAudio; }
  bool operator==(const Section&) const = default;
};

// 16 hex digits: what type and content (for media: path and bytes) say. Place, adapter, tags and
// markers do not change it, nor do BOM and line ends.
std::string section_id(const Section& section);

}  // namespace dlm
