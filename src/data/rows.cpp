#include "data/rows.h"

#include <charconv>
#include <cmath>
#include <map>

#include "doc/routing.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

namespace {

// The text without the white space around it.
std::string moved_text(Section& section, const std::string& id) {
  std::string text = std::move(section.content);
  section.content.clear();
  section.known_id = id;
  const auto kept = static_cast<size_t>(trim(text).data() - text.data());
  text.resize(kept + trim(text).size());
  text.erase(0, kept);
  return text;
}

// Texts of sources move out of `moves_from`, which is the document or null.
DocumentRows make_rows(const Document& document, Document* moves_from) {
  check_routing(document);
  DocumentRows out;
  std::map<std::string, int64_t> seen;
  const std::string path = document.path.string();
  const auto add = [&](DocumentRow row, const Section& section, const std::string& id) {
    row.section_id = id;
    if (!section.source_path.empty()) {
      row.origin = RowOrigin::kSource;
      row.source_path = section.source_path;
    }
    row.tags = section.tags;
    row.weight = section.weight;
    row.sub_index = seen[row.section_id]++;
    ++(row.kind == RowKind::kText ? out.num_text : out.num_chat);
    out.rows.push_back(std::move(row));
  };
  for (size_t i = 0; i < document.sections.size(); ++i) {
    const Section& section = document.sections[i];
    const std::string id = section_id(section);
    const bool moves = moves_from != nullptr && !section.source_path.empty();
    switch (section.type) {
      case SectionType::kProse: {
        DocumentRow row;
        row.text =
            moves ? moved_text(moves_from->sections[i], id) : std::string(trim(section.content));
        row.line = section.content_line;
        if (!row.text.empty()) add(std::move(row), section, id);
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
          add(std::move(row), section, id);
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

}  // namespace

DocumentRows rows_of(const Document& document) {
  return make_rows(document, nullptr);
}

DocumentRows take_rows(Document& document) {
  return make_rows(document, &document);
}

uint64_t split_bucket(int64_t seed, std::string_view id, int64_t index) {
  std::string key = std::to_string(seed);
  key.push_back('\0');
  key += id;
  key.push_back('\0');
  key += std::to_string(index);
  uint64_t bucket = 0;
  const std::string hex = sha256_hex(key);
  std::from_chars(hex.data(), hex.data() + 16, bucket, 16);
  return bucket;
}

bool is_held_out(uint64_t bucket, double fraction) {
  if (fraction >= 1.0) return true;
  return bucket < static_cast<uint64_t>(std::ldexp(fraction, 64));
}

bool is_validation_row(const DocumentRow& row, int64_t seed, double fraction) {
  if (row.origin == RowOrigin::kReplay) return false;
  return is_held_out(split_bucket(seed, row.section_id, row.sub_index), fraction);
}

}  // namespace dlm
