#include "data/rows.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <map>

#include "doc/routing.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

namespace {

static_assert(sizeof(DocumentRow) <= 48, "a document has as many as it has pairs");

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
  out.content = section.content;
  return std::make_shared<const RowSection>(std::move(out));
}

bool is_within(std::string_view all, std::string_view piece) {
  const std::less_equal<const char*> before;
  return before(all.data(), piece.data()) &&
         before(piece.data() + piece.size(), all.data() + all.size());
}

// Texts with line ends that are not LF are not the section's bytes: such a pair has a section of
// its own that is otherwise the same.
DocumentRow pair_of(const std::shared_ptr<const RowSection>& section, const QaPair& pair) {
  const std::string_view all = section->content;
  if (is_within(all, pair.question) && is_within(all, pair.answer)) {
    return DocumentRow::of_pair(section, pair.question, pair.answer);
  }
  RowSection own = *section;
  own.content = pair.question.str() + pair.answer.str();
  const auto known = std::make_shared<const RowSection>(std::move(own));
  const std::string_view both = known->content;
  return DocumentRow::of_pair(known, both.substr(0, pair.question.size()),
                              both.substr(pair.question.size()));
}

}  // namespace

std::shared_ptr<const RowSection> DocumentRow::no_section() {
  static const auto none = std::make_shared<const RowSection>();
  return none;
}

DocumentRow::Part DocumentRow::part(std::string_view piece) const {
  if (piece.empty()) return {};
  const std::string_view all = section->content;
  check(is_within(all, piece), "a row's text that is no part of its section");
  return {static_cast<uint32_t>(piece.data() - all.data()), static_cast<uint32_t>(piece.size())};
}

DocumentRow DocumentRow::of_prose(std::shared_ptr<const RowSection> section,
                                  std::string_view text) {
  DocumentRow row;
  row.section = std::move(section);
  row.said_ = row.part(text);
  return row;
}

DocumentRow DocumentRow::of_pair(std::shared_ptr<const RowSection> section,
                                 std::string_view question, std::string_view answer) {
  DocumentRow row;
  row.kind = RowKind::kChat;
  row.section = std::move(section);
  row.question_ = row.part(question);
  row.said_ = row.part(answer);
  return row;
}

DocumentRows rows_of(const Document& document) {
  check_routing(document);
  DocumentRows out;
  size_t num_rows = 0;
  for (const Section& section : document.sections) num_rows += most_rows(section);
  out.rows.reserve(num_rows);
  std::map<std::string, int32_t> seen;  // rows of each section id
  const std::string path = document.path.string();
  for (const Section& section : document.sections) {
    std::shared_ptr<const RowSection> known;
    const auto add = [&](DocumentRow row, int line) {
      row.line = line;
      if (!section.source_path.empty()) row.origin = RowOrigin::kSource;
      row.sub_index = seen[known->id]++;
      ++(row.kind == RowKind::kText ? out.num_text : out.num_chat);
      out.rows.push_back(std::move(row));
    };
    switch (section.type) {
      case SectionType::kProse: {
        const std::string_view text = trim(section.content);
        if (text.empty()) break;
        known = row_section(section);
        add(DocumentRow::of_prose(known, text), section.content_line);
        break;
      }
      case SectionType::kInstruction:
        known = row_section(section);
        for_each_pair(section, path, [&](const QaPair& pair) {
          DocumentRow row = pair_of(known, pair);
          row.is_probe = pair.is_probe;
          add(std::move(row), pair.line);
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
