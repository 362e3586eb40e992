// Any bytes either make a document or a dlm::Error. What parses must survive writing and reading:
// equal sections, equal frontmatter; and migrating, which reads its own result back.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "doc/document.h"
#include "doc/grammar.h"
#include "doc/migrate_text.h"
#include "doc/routing.h"
#include "doc/serialize.h"

namespace {

void parse_sections(const dlm::Document& document) {
  for (const dlm::Section& section : document.sections) {
    try {
      if (section.type == dlm::SectionType::kInstruction) dlm::parse_instruction(section);
      if (section.type == dlm::SectionType::kPreference) dlm::parse_preference(section);
    } catch (const dlm::Error&) {
    }
  }
}

void check_round_trip(const dlm::Document& document) {
  const std::string text = dlm::serialize_document(document.frontmatter, document.sections);
  const dlm::Document again = dlm::parse_document(text, "");
  const dlm::Frontmatter& a = document.frontmatter;
  const dlm::Frontmatter& b = again.frontmatter;
  dlm::check(a.dlm_id == b.dlm_id && a.base_model == b.base_model && a.training == b.training &&
                 a.export_config == b.export_config && a.system_prompt == b.system_prompt,
             "frontmatter changed");
  dlm::check(document.sections.size() == again.sections.size(), "number of sections changed");
  for (size_t i = 0; i < again.sections.size(); ++i) {
    dlm::check(document.sections[i].content == again.sections[i].content, "content changed");
    dlm::check(section_id(document.sections[i]) == section_id(again.sections[i]), "id changed");
  }
  dlm::check(dlm::serialize_document(b, again.sections) == text, "second writing differs");
}

void check_migration(std::string_view bytes, const dlm::Document& document) {
  const dlm::MigratedText once = dlm::migrate_text(bytes, "");
  const dlm::Document migrated = dlm::parse_document(once.bytes, "");
  dlm::check(!dlm::migrate_text(once.bytes, "").is_applied, "there is more to migrate");
  dlm::check(document.sections.size() == migrated.sections.size(), "migrating changed sections");
  for (size_t i = 0; i < migrated.sections.size(); ++i) {
    dlm::check(section_id(document.sections[i]) == section_id(migrated.sections[i]),
               "migrating changed an id");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  dlm::Document document;
  try {
    document = dlm::parse_document(bytes, "");
    parse_sections(document);
    dlm::check_routing(document);
  } catch (const dlm::Error& error) {
    dlm::check(error.kind() == dlm::ErrorKind::kParse || error.kind() == dlm::ErrorKind::kEncoding,
               "wrong kind of error");
    return 0;
  }
  check_round_trip(document);
  check_migration(bytes, document);
  return 0;
}
