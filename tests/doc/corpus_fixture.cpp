// Running and comparing conformance documents. See the header.
#include "corpus_fixture.h"

#include <algorithm>

#include "corpus_differences.h"
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

const Json* find_document(const Json& expected, const std::string& file) {
  for (const Json& document : expected.at("documents").items()) {
    if (document.at("file").as_string() == file) return &document;
  }
  return nullptr;
}

std::string place_text(const Error& error) {
  return std::to_string(error.place().line) + ":" + std::to_string(error.place().column);
}

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

namespace {

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

}  // namespace

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
                  {"content", ours.content.str()},
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
        pairs.push_back({pair.question.str(), pair.answer.str()});
      }
    } else if (section.type == SectionType::kPreference) {
      for (const PreferenceTriple& t : parse_preference(section)) {
        triples.push_back({t.prompt.str(), t.chosen.str(), t.rejected.str()});
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
  if (!find_difference(file, "bodies")) check_bodies(document, observed);
  check_round_trip(document);
  if (const Json* names = observed.find("declared_adapters")) {
    std::vector<std::string> ours;
    for (const auto& adapter : declared_adapters(document.frontmatter))
      ours.push_back(adapter.name);
    std::vector<std::string> theirs;
    for (const Json& name : names->items()) theirs.push_back(name.as_string());
    EXPECT_EQ(ours, theirs);
  }
  if (find_difference(file, "canonical")) return;
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
  if (const Difference* difference = find_difference(file, "place")) {
    EXPECT_EQ(place_text(fault.error), difference->ours);
    return;
  }
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

}  // namespace dlm
