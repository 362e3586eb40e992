#include "data/rows.h"

#include <charconv>
#include <cmath>
#include <map>

#include "doc/routing.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

DocumentRows rows_of(const Document& document) {
  check_routing(document);
  DocumentRows out;
  std::map<std::string, int64_t> seen;
  const std::string path = document.path.string();
  const auto add = [&](DocumentRow row, const Section& section) {
    row.section_id = section_id(section);
    if (!section.source_path.empty()) row.origin = RowOrigin::kSource;
    row.tags = section.tags;
    row.weight = section.weight;
    row.sub_index = seen[row.section_id]++;
    ++(row.kind == RowKind::kText ? out.num_text : out.num_chat);
    out.rows.push_back(std::move(row));
  };
  for (const Section& section : document.sections) {
    switch (section.type) {
      case SectionType::kProse: {
        DocumentRow row;
        row.text = std::string(trim(section.content));
        row.line = section.content_line;
        if (!row.text.empty()) add(std::move(row), section);
        break;
      }
      case SectionType::kInstruction:
        for (QaPair& pair : parse_instruction(section, path)) {
          DocumentRow row;
          row.kind = RowKind::kChat;
          row.question = std::move(pair.question);
          row.answer = std::move(pair.answer);
          row.is_probe = pair.is_probe;
          row.line = pair.line;
          add(std::move(row), section);
        }
        break;
      case SectionType::kPreference:
        parse_preference(section, path);
        ++out.num_preference_sections;
        break;
      case SectionType::kImage:
      case SectionType::kAudio:
        ++out.num_media_sections;
        break;
    }
  }
  return out;
}

bool is_validation_row(const DocumentRow& row, int64_t seed, double fraction) {
  if (row.origin == RowOrigin::kReplay) return false;
  std::string key = std::to_string(seed);
  key.push_back('\0');
  key += row.section_id;
  key.push_back('\0');
  key += std::to_string(row.sub_index);
  uint64_t bucket = 0;
  const std::string hex = sha256_hex(key);
  std::from_chars(hex.data(), hex.data() + 16, bucket, 16);
  if (fraction >= 1.0) return true;
  return bucket < static_cast<uint64_t>(std::ldexp(fraction, 64));
}

}  // namespace dlm
