// What the tests of the first program assert about a document, key by key.
#include <algorithm>

#include "corpus_fixture.h"
#include "doc/body_parser.h"
#include "doc/document.h"
#include "doc/grammar.h"
#include "doc/migrate.h"
#include "doc/python_text.h"
#include "doc/routing.h"
#include "doc/serialize.h"
#include "support/hash.h"
#include "support/json.h"
#include "support/text.h"

namespace dlm {
namespace {

// "training.sources[0].path" as "training.sources.0.path".
std::string dotted(std::string path) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '[') path[i] = '.';
  }
  std::erase(path, ']');
  return path;
}

}  // namespace

void Corpus::check_section_asserts(const Document& document, const Json& asserts) {
  for (size_t i = 0; i < asserts.size(); ++i) {
    ASSERT_LT(i, document.sections.size());
    const Section& section = document.sections[i];
    for (const auto& [key, value] : asserts.items()[i].members()) {
      if (key == "content_contains") {
        EXPECT_NE(section.content.view().find(value.as_string()), std::string::npos);
      } else if (key == "content_lacks") {
        EXPECT_EQ(section.content.view().find(value.as_string()), std::string::npos);
      } else if (key == "content_stripped") {
        EXPECT_EQ(trim(section.content), value.as_string());
      } else if (key == "auto_harvest") {
        EXPECT_EQ(section.harvest.has_value(), value.as_bool());
      } else if (key == "auto_mined") {
        EXPECT_EQ(section.mined.has_value(), value.as_bool());
      } else if (key == "auto_synth") {
        EXPECT_EQ(section.synth.has_value(), value.as_bool());
      } else if (key == "harvest_source") {
        EXPECT_TRUE(value.is_null() && !section.harvest);
      }  // the other fields are compared in check_sections
    }
  }
}

void Corpus::check_asserts(const Document& document, const Json& asserts, const std::string& file) {
  const std::string canonical =
      serialize_document(document.frontmatter, document.sections, {.keep_written = false});
  const Fields fields = all_fields(document.frontmatter);
  std::vector<std::string> types;
  std::vector<std::string> adapters;
  for (const Section& section : document.sections) {
    types.push_back(section_type_word(section.type));
    adapters.push_back(section.adapter.value_or("null"));
  }
  const auto texts = [](const Json& list) {
    std::vector<std::string> out;
    for (const Json& item : list.items()) out.push_back(text_of(item));
    return out;
  };
  for (const auto& [key, value] : asserts.members()) {
    SCOPED_TRACE(key);
    if (key == "section_types") {
      EXPECT_EQ(types, texts(value));
    } else if (key == "adapters") {
      EXPECT_EQ(adapters, texts(value));
    } else if (key == "sections_count") {
      EXPECT_EQ(static_cast<int64_t>(types.size()), value.as_int());
    } else if (key == "no_section_of_type") {
      for (const std::string& type : texts(value)) {
        EXPECT_EQ(std::count(types.begin(), types.end(), type), 0);
      }
    } else if (key == "sections") {
      check_section_asserts(document, value);
    } else if (key == "frontmatter") {
      for (const auto& [path, wanted] : value.members()) {
        SCOPED_TRACE(path);
        if (wanted.is_array()) {
          EXPECT_EQ(path, "training.sources[0].include");
          EXPECT_EQ(document.frontmatter.training.sources->at(0).include, texts(wanted));
        } else if (wanted.is_null()) {
          EXPECT_FALSE(fields.contains(dotted(path)));
        } else {
          ASSERT_TRUE(fields.contains(dotted(path)));
          EXPECT_EQ(fields.at(dotted(path)), text_of(wanted));
        }
      }
    } else if (key == "serialized_contains" || key == "serialized_lacks") {
      for (const std::string& part : texts(value)) {
        EXPECT_EQ(canonical.find(part) != std::string::npos, key == "serialized_contains") << part;
      }
    } else if (key == "serialize_equals_input") {
      EXPECT_EQ(canonical, bytes(file));
    } else if (key == "training_all_default") {
      EXPECT_EQ(document.frontmatter.training, TrainingConfig{});
    } else if (key == "export_all_default") {
      EXPECT_EQ(document.frontmatter.export_config, ExportConfig{});
    } else if (key == "warns") {
      ASSERT_EQ(document.warnings.size(), 1u);
      EXPECT_NE(document.warnings[0].message.find(value.as_string()), std::string::npos);
    } else if (key == "same_section_id") {
      const Document other = parse(value.at("as").as_string());
      EXPECT_EQ(
          section_id(document.sections.at(static_cast<size_t>(value.at("index").as_int()))),
          section_id(other.sections.at(static_cast<size_t>(value.at("other_index").as_int()))));
    } else if (key == "all_section_ids_equal") {
      const Document other = parse(value.as_string());
      ASSERT_EQ(document.sections.size(), other.sections.size());
      for (size_t i = 0; i < other.sections.size(); ++i) {
        EXPECT_EQ(section_id(document.sections[i]), section_id(other.sections[i]));
      }
    } else if (key == "routes") {
      for (const auto& [adapter, indices] : value.members()) {
        std::vector<std::string> ours;
        for (const size_t i : sections_of_adapter(document, adapter)) {
          ours.push_back(std::to_string(i));
        }
        EXPECT_EQ(ours, texts(indices)) << adapter;
      }
    } else if (key == "adapter_names_set" || key == "declared_adapters") {
      std::vector<std::string> names;
      for (const auto& a : declared_adapters(document.frontmatter)) names.push_back(a.name);
      EXPECT_EQ(names, texts(value));
    } else if (key == "contains") {
      for (const std::string& part : texts(value)) {
        EXPECT_NE(bytes(file).find(part), std::string::npos);
      }
    } else if (key == "parsed_id_equals_file_id") {
      EXPECT_NE(bytes(file).find("dlm_id: " + document.frontmatter.dlm_id + "\n"),
                std::string::npos);
    } else if (key == "migrate") {
      const std::string kept = serialize_document(document.frontmatter, document.sections);
      for (const std::string& part : texts(value.at("result_contains"))) {
        EXPECT_NE(kept.find(part), std::string::npos) << part;
      }
    } else if (key == "qa_pair_count") {
      for (size_t i = 0; i < value.size(); ++i) {
        EXPECT_EQ(parse_instruction(document.sections.at(i)).size(),
                  static_cast<size_t>(value.items()[i].as_int()));
      }
    } else {
      // Pairs, triples and idempotence are compared for every document; the rest belongs to other
      // rooms.
      const std::vector<std::string> elsewhere = {
          "qa_pairs",   "triples", "serialize_idempotent", "roundtrip_equal",
          "parses",     "tree",    "expand_sections",      "expand_first_lines",
          "provenance", "mine",    "cli_show_json",        "cli_output_contains"};
      EXPECT_NE(std::find(elsewhere.begin(), elsewhere.end(), key), elsewhere.end());
    }
  }
}

}  // namespace dlm
