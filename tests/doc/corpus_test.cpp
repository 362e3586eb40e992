// Conformance documents of the format's first program: a folder with valid/, invalid/, extra/ and
// canonical/ and what each document means. Where we differ on purpose, kDifferences says why.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>

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

// Deliberate differences from the observed behaviour of the first program. "canonical" and "error
// place" switch off that one comparison; "outcome" is followed by a check of our own in
// OwnOutcomes.
struct Difference {
  const char* file;
  const char* aspect;
  const char* reason;
};

constexpr const char* kPromptReason =
    "the final line end of the system prompt is kept; the first program's writer loses it";
constexpr const char* kMarkerReason =
    "the error points at the marker line and not at the fence above it";

constexpr Difference kDifferences[] = {
    {"valid/template_changelog.dlm", "canonical", kPromptReason},
    {"valid/template_coding_tutor.dlm", "canonical", kPromptReason},
    {"valid/template_domain_kb.dlm", "canonical", kPromptReason},
    {"valid/template_meeting_notes_summarizer.dlm", "canonical", kPromptReason},
    {"valid/template_personal_assistant.dlm", "canonical", kPromptReason},
    {"valid/template_shell_one_liner.dlm", "canonical", kPromptReason},
    {"valid/template_tool_use_example.dlm", "canonical", kPromptReason},
    {"valid/template_writing_partner.dlm", "canonical", kPromptReason},
    {"extra/system_prompt_not_last_block.dlm", "canonical", kPromptReason},
};

const Json* find_document(const Json& expected, const std::string& file) {
  for (const Json& document : expected.at("documents").items()) {
    if (document.at("file").as_string() == file) return &document;
  }
  return nullptr;
}

bool differs(const std::string& file, std::string_view aspect) {
  for (const Difference& d : kDifferences) {
    if (file == d.file && aspect == d.aspect) return true;
  }
  return false;
}

// A finding, with the error class that the first program has for the stage.
struct Fault {
  std::string error_class;
  Error error;
};

struct Outcome {
  std::optional<Document> document;
  std::optional<Fault> fault;
};

// Runs the stages one by one, to know where a document fails.
Outcome run_stages(const std::string& bytes, const std::string& path) {
  WarningSink warnings(path);
  std::string stage = "DlmEncodingError";
  try {
    const std::string text = decode_document(bytes, warnings);
    stage = "FrontmatterError";
    const DocumentParts parts = split_document(text, path);
    YamlTree tree = parse_yaml(parts.yaml, 2, warnings);
    stage = "version";
    const int version = migrate_frontmatter(tree, warnings);
    stage = tree.root().is_mapping() ? "SchemaValidationError" : "FrontmatterError";
    read_frontmatter(tree, version, warnings);
    stage = "FenceError";
    parse_body(parts.body, parts.body_line, warnings);
  } catch (const Error& error) {
    if (stage == "version") {
      const std::string& message = error.message();
      stage = message.find("newer than") != std::string::npos       ? "DlmVersionError"
              : message.find("does not exist") != std::string::npos ? "UnsupportedMigrationError"
                                                                    : "SchemaValidationError";
    }
    EXPECT_EQ(error.kind(), stage == "DlmEncodingError" ? ErrorKind::kEncoding : ErrorKind::kParse);
    return {std::nullopt, Fault{stage, error}};
  }
  return {parse_document(bytes, path), std::nullopt};
}

// The first section whose body breaks its grammar.
std::optional<Fault> find_body_fault(const Document& document) {
  for (const Section& section : document.sections) {
    try {
      if (section.type == SectionType::kInstruction) parse_instruction(section, "f");
    } catch (const Error& error) {
      return Fault{"InstructionParseError", error};
    }
    try {
      if (section.type == SectionType::kPreference) parse_preference(section, "f");
    } catch (const Error& error) {
      return Fault{"PreferenceParseError", error};
    }
  }
  return std::nullopt;
}

using Fields = std::map<std::string, std::string>;

void flatten(const YamlNode& node, const std::string& path, Fields& fields) {
  const std::string prefix = path.empty() ? "" : path + ".";
  if (node.is_mapping()) {
    if (node.entries.empty()) fields[path] = "{}";
    for (const auto& entry : node.entries) flatten(*entry.value, prefix + entry.key->text, fields);
  } else if (node.kind() == YamlKind::kSequence) {
    if (node.items.empty()) fields[path] = "[]";
    for (size_t i = 0; i < node.items.size(); ++i) {
      flatten(*node.items[i], prefix + std::to_string(i), fields);
    }
  } else {
    fields[path] = node.text;
  }
}

std::string text_of(const Json& value) {
  switch (value.type()) {
    case Json::Type::kBool:
      return value.as_bool() ? "true" : "false";
    case Json::Type::kInt:
      return std::to_string(value.as_int());
    case Json::Type::kDouble:
      return format_python_float(value.as_double());
    case Json::Type::kString:
      return value.as_string();
    default:
      return "null";
  }
}

void flatten(const Json& value, const std::string& path, Fields& fields) {
  const std::string prefix = path.empty() ? "" : path + ".";
  if (value.is_object()) {
    if (value.size() == 0) fields[path] = "{}";
    for (const auto& [key, item] : value.members()) flatten(item, prefix + key, fields);
  } else if (value.is_array()) {
    if (value.size() == 0) fields[path] = "[]";
    for (size_t i = 0; i < value.size(); ++i) {
      flatten(value.items()[i], prefix + std::to_string(i), fields);
    }
  } else {
    fields[path] = text_of(value);
  }
}

Fields fields_of(const Frontmatter& frontmatter, const SerializeOptions& options) {
  WarningSink warnings("written");
  const std::string text = serialize_frontmatter(frontmatter, options);
  const YamlTree tree = parse_yaml(split_document(text, "written").yaml, 2, warnings);
  Fields fields;
  flatten(tree.root(), "", fields);
  return fields;
}

// Every field with its value, defaults too; null and lists that have their default are absent.
Fields all_fields(Frontmatter frontmatter) {
  for (const char* path : {"adapter",
                           "lora_r",
                           "lora_alpha",
                           "lora_dropout",
                           "target_modules",
                           "sequence_len",
                           "micro_batch_size",
                           "grad_accum",
                           "learning_rate",
                           "num_epochs",
                           "optimizer",
                           "lr_scheduler",
                           "warmup_ratio",
                           "seed",
                           "preference.enabled",
                           "preference.method",
                           "preference.hyperparams.beta",
                           "preference.hyperparams.alpha",
                           "preference.hyperparams.learning_rate",
                           "preference.hyperparams.num_epochs",
                           "preference.loss_type",
                           "preference.reference",
                           "cpt.schedule",
                           "cpt.embed_warmup_steps",
                           "gate.enabled",
                           "cache.enabled",
                           "cache.max_bytes",
                           "cache.prune_older_than_days",
                           "audio.auto_resample",
                           "sources_policy"}) {
    frontmatter.written.insert(std::string("training.") + path);
  }
  frontmatter.written.insert("export.default_quant");
  for (const NamedAdapter& adapter : declared_adapters(frontmatter)) {
    frontmatter.written.insert("training.adapters." + adapter.name + ".adapter");
  }
  return fields_of(frontmatter, {});
}

// "training.sources[0].path" as "training.sources.0.path".
std::string dotted(std::string path) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '[') path[i] = '.';
  }
  std::erase(path, ']');
  return path;
}

class Corpus : public testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("DLM_TEST_DATA");
    if (!data) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
    folder_ = fs::path(data) / "corpus";
    if (!fs::exists(folder_ / "expected.json")) {
      GTEST_SKIP() << "skipped: no corpus/expected.json in DLM_TEST_DATA";
    }
  }

  std::vector<std::string> list(const std::string& kind) const {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(folder_ / kind)) {
      files.push_back(kind + "/" + entry.path().filename().string());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  Json expected(const std::string& name) const { return parse_json(read_file(folder_ / name)); }
  std::string bytes(const std::string& file) const { return read_file(folder_ / file); }
  Document parse(const std::string& file) const { return parse_document(bytes(file), file); }

  void check_document(const Document& document, const Json& observed, const std::string& file);
  void check_sections(const Document& document, const Json& observed);
  void check_bodies(const Document& document, const Json& observed);
  void check_fault(const Fault& fault, const Json& observed, const std::string& file);
  void check_asserts(const Document& document, const Json& asserts, const std::string& file);
  void check_section_asserts(const Document& document, const Json& asserts);
  void check_round_trip(const Document& document);

  fs::path folder_;
};

void Corpus::check_sections(const Document& document, const Json& observed) {
  const auto& sections = observed.at("sections").items();
  ASSERT_EQ(document.sections.size(), sections.size());
  const std::map<std::string, std::string> no_value;
  for (size_t i = 0; i < sections.size(); ++i) {
    const Section& ours = document.sections[i];
    Fields fields{{"type", section_type_word(ours.type)},
                  {"adapter", ours.adapter.value_or("null")},
                  {"start_line", std::to_string(ours.start_line)},
                  {"section_id", section_id(ours)},
                  {"content", ours.content},
                  {"content_sha256", sha256_hex(ours.content)},
                  {"content_chars", std::to_string(decode_utf8(ours.content).size())}};
    if (ours.is_media()) fields["media_path"] = ours.media_path;
    if (ours.media_alt) fields["media_alt"] = *ours.media_alt;
    if (ours.media_transcript) fields["media_transcript"] = *ours.media_transcript;
    if (ours.harvest) {
      fields["auto_harvest"] = "true";
      fields["harvest_source"] = ours.harvest->source;
    }
    if (ours.mined) {
      fields["auto_mined"] = "true";
      fields["judge_name"] = ours.mined->judge_name;
      fields["judge_score_chosen"] = format_python_float(ours.mined->judge_score_chosen);
      fields["judge_score_rejected"] = format_python_float(ours.mined->judge_score_rejected);
      fields["mined_at"] = ours.mined->mined_at;
      fields["mined_run_id"] = std::to_string(ours.mined->mined_run_id);
    }
    if (ours.synth) {
      fields["auto_synth"] = "true";
      fields["synth_teacher"] = ours.synth->synth_teacher;
      fields["synth_strategy"] = ours.synth->synth_strategy;
      fields["synth_at"] = ours.synth->synth_at;
      fields["source_section_id"] = ours.synth->source_section_id;
    }
    for (const auto& [key, value] : sections[i].members()) {
      EXPECT_EQ(fields[key], text_of(value)) << "section " << i << " " << key;
    }
    for (const char* key : {"auto_harvest", "auto_mined", "auto_synth", "media_alt"}) {
      EXPECT_EQ(fields.contains(key), sections[i].find(key) != nullptr) << "section " << i << key;
    }
  }
}

void Corpus::check_bodies(const Document& document, const Json& observed) {
  std::vector<std::vector<std::string>> pairs;
  std::vector<std::vector<std::string>> triples;
  if (const auto fault = find_body_fault(document)) {
    const Json* body_error = observed.find("body_error");
    ASSERT_NE(body_error, nullptr) << fault->error.what();
    EXPECT_EQ(fault->error_class, body_error->at("error").as_string());
    const auto index = static_cast<size_t>(body_error->at("section_index").as_int());
    EXPECT_EQ(fault->error.place().line, document.sections.at(index).content_line - 1 +
                                             body_error->at("section_line").as_int());
    return;
  }
  EXPECT_EQ(observed.find("body_error"), nullptr);
  const auto read_lists = [](const Json* lists) {
    std::vector<std::vector<std::string>> out;
    if (!lists) return out;
    for (const Json& section : lists->items()) {
      for (const Json& item : section.items()) {
        out.emplace_back();
        for (const Json& part : item.items()) out.back().push_back(part.as_string());
      }
    }
    return out;
  };
  for (const Section& section : document.sections) {
    if (section.type == SectionType::kInstruction) {
      for (const QaPair& pair : parse_instruction(section)) {
        pairs.push_back({pair.question, pair.answer});
      }
    } else if (section.type == SectionType::kPreference) {
      for (const PreferenceTriple& t : parse_preference(section)) {
        triples.push_back({t.prompt, t.chosen, t.rejected});
      }
    }
  }
  if (observed.find("qa_pairs")) {
    EXPECT_EQ(pairs, read_lists(observed.find("qa_pairs")));
  }
  if (observed.find("triples")) {
    EXPECT_EQ(triples, read_lists(observed.find("triples")));
  }
}

// Stronger than what the first program keeps: writing and reading gives the same document.
void Corpus::check_round_trip(const Document& document) {
  for (const bool keep_written : {true, false}) {
    const std::string text =
        serialize_document(document.frontmatter, document.sections, {keep_written});
    const Document again = parse_document(text, "written");
    const Frontmatter& a = document.frontmatter;
    const Frontmatter& b = again.frontmatter;
    EXPECT_TRUE(a.training == b.training && a.export_config == b.export_config);
    EXPECT_EQ(a.system_prompt, b.system_prompt);
    ASSERT_EQ(document.sections.size(), again.sections.size());
    for (size_t i = 0; i < again.sections.size(); ++i) {
      EXPECT_EQ(document.sections[i].content, again.sections[i].content);
      EXPECT_EQ(document.sections[i].adapter, again.sections[i].adapter);
      EXPECT_EQ(section_id(document.sections[i]), section_id(again.sections[i]));
    }
    EXPECT_EQ(serialize_document(b, again.sections, {keep_written}), text);
  }
}

void Corpus::check_document(const Document& document, const Json& observed,
                            const std::string& file) {
  Fields wanted;
  flatten(observed.at("frontmatter_non_default"), "", wanted);
  wanted["dlm_version"] = "15";
  EXPECT_EQ(fields_of(document.frontmatter, {.keep_written = false}), wanted);
  check_sections(document, observed);
  check_bodies(document, observed);
  check_round_trip(document);
  if (const Json* names = observed.find("declared_adapters")) {
    std::vector<std::string> ours;
    for (const auto& adapter : declared_adapters(document.frontmatter))
      ours.push_back(adapter.name);
    std::vector<std::string> theirs;
    for (const Json& name : names->items()) theirs.push_back(name.as_string());
    EXPECT_EQ(ours, theirs);
  }
  if (differs(file, "canonical")) return;
  const std::string canonical =
      serialize_document(document.frontmatter, document.sections, {.keep_written = false});
  if (const Json* text = observed.find("canonical")) {
    EXPECT_EQ(canonical, text->as_string());
  }
  if (const Json* sha = observed.find("canonical_sha256")) {
    EXPECT_EQ(sha256_hex(canonical), sha->as_string()) << canonical;
  }
}

void Corpus::check_fault(const Fault& fault, const Json& observed, const std::string& file) {
  EXPECT_EQ(fault.error_class, observed.at("error").as_string());
  if (const Json* offset = observed.find("byte_offset")) {
    EXPECT_NE(fault.error.message().find("at byte " + std::to_string(offset->as_int()) + ":"),
              std::string::npos);
    return;
  }
  if (differs(file, "error place")) return;
  const int64_t line = observed.at("line").as_int();
  if (fault.error_class != "SchemaValidationError" && fault.error_class != "DlmVersionError") {
    EXPECT_EQ(fault.error.place().line, line) << fault.error.what();
    EXPECT_EQ(fault.error.place().column, observed.at("col").as_int()) << fault.error.what();
    return;
  }
  // The first program always says line 2; we say the line of the key.
  const std::string& message = observed.at("message").as_string();
  std::string location = message.substr(0, message.find(": "));
  if (location.find(' ') != std::string::npos) location = "dlm_version";
  location = location.substr(0, location.find(".literal["));
  const std::string ours = fault.error.message().substr(0, location.size() + 1);
  EXPECT_TRUE(ours == location + ":" || ours == location + " ") << ours;
  const std::string key = location.substr(location.rfind('.') + 1);
  const std::string text = bytes(file);
  const auto lines = split(text, '\n');
  const auto number = static_cast<size_t>(fault.error.place().line);
  ASSERT_TRUE(number >= 2 && number < lines.size());
  if (message.find("Field required") != std::string::npos) {
    EXPECT_EQ(number, 2u);
  } else if (key == "training" || key == "adapters") {
    EXPECT_GT(number, 4u);
  } else {
    EXPECT_NE(lines[number - 1].find(key), std::string_view::npos) << fault.error.what();
  }
}

void Corpus::check_section_asserts(const Document& document, const Json& asserts) {
  for (size_t i = 0; i < asserts.size(); ++i) {
    ASSERT_LT(i, document.sections.size());
    const Section& section = document.sections[i];
    for (const auto& [key, value] : asserts.items()[i].members()) {
      if (key == "content_contains") {
        EXPECT_NE(section.content.find(value.as_string()), std::string::npos);
      } else if (key == "content_lacks") {
        EXPECT_EQ(section.content.find(value.as_string()), std::string::npos);
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

TEST_F(Corpus, ReadsValidDocumentsAsTheirTestsSay) {
  const Json all = expected("expected.json");
  const auto files = list("valid");
  ASSERT_FALSE(files.empty());
  size_t passed = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const auto failures =
        testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
    const Json* entry = find_document(all, file);
    if (!entry) {
      ADD_FAILURE() << "expected.json says nothing about it";
      continue;
    }
    const Outcome outcome = run_stages(bytes(file), file);
    if (!outcome.document) {
      ADD_FAILURE() << outcome.fault->error.what();
      continue;
    }
    check_document(*outcome.document, entry->at("observed"), file);
    check_asserts(*outcome.document, entry->at("asserts"), file);
    passed += failures ==
              testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
  }
  std::cout << "valid: " << passed << " of " << files.size() << "\n";
}

TEST_F(Corpus, WritesTheCanonicalForm) {
  const auto files = list("canonical");
  ASSERT_FALSE(files.empty());
  size_t equal = 0;
  size_t num_different = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const std::string source = "valid/" + file.substr(file.find('/') + 1);
    const Document document = parse(source);
    const std::string ours =
        serialize_document(document.frontmatter, document.sections, {.keep_written = false});
    if (differs(source, "canonical")) {
      EXPECT_NE(ours, bytes(file)) << "no difference left: remove it from the table";
      ++num_different;
      continue;
    }
    EXPECT_EQ(ours, bytes(file));
    equal += ours == bytes(file);
  }
  std::cout << "canonical: " << equal << " of " << files.size() << " equal, " << num_different
            << " different on purpose\n";
}

TEST_F(Corpus, RefusesInvalidDocumentsAtTheirStage) {
  const Json all = expected("expected.json");
  const auto files = list("invalid");
  ASSERT_FALSE(files.empty());
  size_t passed = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const auto failures =
        testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
    const Json* entry = find_document(all, file);
    if (!entry) {
      ADD_FAILURE() << "expected.json says nothing about it";
      continue;
    }
    const Json& asserts = entry->at("asserts");
    const Json& observed = entry->at("observed");
    const std::string& stage = entry->at("stage").as_string();
    Outcome outcome = run_stages(bytes(file), file);
    std::optional<Fault> fault = outcome.fault;
    if (stage == "body" || stage == "route" || stage == "expand") {
      ASSERT_TRUE(outcome.document) << outcome.fault->error.what();
      check_document(*outcome.document, observed, file);
      fault = find_body_fault(*outcome.document);
      if (stage == "expand") {  // another room reads the sources
        EXPECT_FALSE(fault);
        ++passed;
        continue;
      }
      if (stage == "route") {
        try {
          check_routing(*outcome.document);
        } catch (const Error& error) {
          fault = Fault{"UnknownAdapterError", error};
        }
      }
    }
    if (!fault) {
      ADD_FAILURE() << "it was accepted";
      continue;
    }
    if (observed.find("error")) check_fault(*fault, observed, file);
    EXPECT_EQ(fault->error_class, asserts.at("error").as_string());
    if (const Json* part = asserts.find("message_contains")) {
      EXPECT_NE(fault->error.message().find(part->as_string()), std::string::npos)
          << fault->error.message();
    }
    if (const Json* line = asserts.find("line")) {
      EXPECT_EQ(fault->error.place().line, line->as_int());
    }
    passed += failures ==
              testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
  }
  std::cout << "invalid: " << passed << " of " << files.size() << "\n";
}

TEST_F(Corpus, ReadsEdgeCasesAsObserved) {
  const Json all = expected("expected_extra.json");
  const auto files = list("extra");
  ASSERT_FALSE(files.empty());
  size_t passed = 0;
  size_t num_different = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const auto failures =
        testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
    const Json* entry = find_document(all, file);
    if (!entry) {
      ADD_FAILURE() << "expected_extra.json says nothing about it";
      continue;
    }
    if (differs(file, "outcome")) {
      ++num_different;
      continue;
    }
    const Json& observed = entry->at("observed");
    const Outcome outcome = run_stages(bytes(file), file);
    if (observed.find("error")) {
      if (outcome.fault) {
        check_fault(*outcome.fault, observed, file);
      } else {
        ADD_FAILURE() << "it was accepted";
      }
    } else if (outcome.document) {
      check_document(*outcome.document, observed, file);
    } else {
      ADD_FAILURE() << outcome.fault->error.what();
    }
    passed += failures ==
              testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
  }
  std::cout << "extra: " << passed << " of " << files.size() << ", " << num_different
            << " with another outcome on purpose\n";
}

}  // namespace
}  // namespace dlm
