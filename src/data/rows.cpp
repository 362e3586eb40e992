#include "data/rows.h"

#include <charconv>
#include <cmath>
#include <map>

#include "doc/routing.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

namespace {

// At most so many rows come of it.
size_t most_rows(const Section& section) {
  if (section.type != SectionType::kInstruction) return section.type == SectionType::kProse;
  constexpr std::string_view kHeader = "### Q";
  const std::string_view content = section.content;
  size_t count = 0;
  for (size_t at = 0; (at = content.find(kHeader, at)) != content.npos; at += kHeader.size()) {
    ++count;
  }
  return count;
}

std::shared_ptr<const RowSection> row_section(const Section& section) {
  RowSection out;
  out.id = section_id(section);
  out.source_path = section.source_path;
  out.tags = section.tags;
  out.weight = section.weight;
  return std::make_shared<const RowSection>(std::move(out));
}

}  // namespace

std::shared_ptr<const RowSection> DocumentRow::no_section() {
  static const auto none = std::make_shared<const RowSection>();
  return none;
}

DocumentRows rows_of(const Document& document) {
  check_routing(document);
  DocumentRows out;
  size_t num_rows = 0;
  for (const Section& section : document.sections) num_rows += most_rows(section);
  out.rows.reserve(num_rows);
  std::map<std::string, int64_t> seen;  // rows of each section id
  const std::string path = document.path.string();
  for (const Section& section : document.sections) {
    std::shared_ptr<const RowSection> known;
    const auto add = [&](DocumentRow row) {
      if (!known) known = row_section(section);
      if (!section.source_path.empty()) row.origin = RowOrigin::kSource;
      row.section = known;
      row.sub_index = seen[known->id]++;
      ++(row.kind == RowKind::kText ? out.num_text : out.num_chat);
      out.rows.push_back(std::move(row));
    };
    switch (section.type) {
      case SectionType::kProse: {
        DocumentRow row;
        row.text = section.content.part(trim(section.content));
        row.line = section.content_line;
        if (!row.text.empty()) add(std::move(row));
        break;
      }
      case SectionType::kInstruction:
        for_each_pair(section, path, [&](QaPair pair) {
          DocumentRow row;
          row.kind = RowKind::kChat;
          row.question = std::move(pair.question);
          row.answer = std::move(pair.answer);
          row.is_probe = pair.is_probe;
          row.line = pair.line;
          add(std::move(row));
        });
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
  return is_held_out(split_bucket(seed, row.section->id, row.sub_index), fraction);
}

}  // namespace dlm
