// Reads the embedded gallery with the reader of frontmatter. See the header.
#include "doc/gallery.h"

#include "doc/document.h"
#include "doc/gallery_files.h"
#include "doc/mapping_reader.h"
#include "doc/python_text.h"
#include "doc/serialize.h"
#include "support/text.h"

namespace dlm {
namespace {

// Trimmed, and at least one character long.
std::string required_text(MappingReader& in, const std::string& key, Findings& findings,
                          const YamlNode& mapping) {
  std::string text(trim(in.text(key)));
  const YamlNode* node = mapping.find(key);
  if (text.empty() && node && node->is_string() && !node->text.empty()) {
    findings.add(key, "must not be blank", node);
  }
  return text;
}

std::vector<std::string> trimmed_list(MappingReader& in, const std::string& key) {
  std::vector<std::string> items = in.text_list(key, {});
  for (std::string& item : items) item = std::string(trim(item));
  return items;
}

std::map<std::string, std::string> read_durations(const YamlNode* node, Findings& findings) {
  std::map<std::string, std::string> durations;
  if (!node) return durations;
  if (!node->is_mapping()) {
    findings.add("expected_duration",
                 std::string("must be a mapping, got ") + kind_words(node->kind()), node,
                 "write one indented 'machine: time' line each");
    return durations;
  }
  for (const YamlNode::Entry& entry : node->entries) {
    if (entry.key->is_string() && entry.value->is_string()) {
      durations[std::string(trim(entry.key->text))] = std::string(trim(entry.value->text));
    } else {
      findings.add("expected_duration." + entry.key->text, "name and time must be text",
                   entry.value, "put the value in quotes to make it text");
    }
  }
  return durations;
}

}  // namespace

TemplateMeta read_template_meta(std::string_view yaml, std::string_view name,
                                const std::string& path) {
  WarningSink warnings(path);
  const YamlTree tree = parse_yaml(yaml, 1, warnings);
  const YamlNode& root = tree.root();
  if (!root.is_mapping()) {
    throw Error(ErrorKind::kParse,
                std::string("a description must be a YAML mapping, got ") + kind_words(root.kind()),
                "write one 'key: value' per line", Place{path, 1, 0});
  }
  std::set<std::string, std::less<>> written;
  Findings findings(warnings, written);
  MappingReader in(&root, "", findings);
  TemplateMeta meta;
  meta.name = required_text(in, "name", findings, root);
  meta.title = required_text(in, "title", findings, root);
  meta.domain_tags = trimmed_list(in, "domain_tags");
  meta.recommended_base = required_text(in, "recommended_base", findings, root);
  meta.expected_steps = in.integer_or_null("expected_steps", {1});
  meta.expected_duration = read_durations(in.take("expected_duration"), findings);
  meta.summary = required_text(in, "summary", findings, root);
  meta.sample_prompts = trimmed_list(in, "sample_prompts");
  in.finish();
  if (findings.empty() && meta.name != name) {
    findings.add("name",
                 "must be " + in_quotes(name) + ", as its file, got " + in_quotes(meta.name),
                 root.find("name"));
  }
  findings.raise();
  return meta;
}

const std::vector<GalleryTemplate>& gallery() {
  static const std::vector<GalleryTemplate> all = [] {
    std::vector<GalleryTemplate> templates;
    for (const GalleryFile& file : gallery_files()) {
      const std::string path = std::string(file.name) + ".meta.yaml";
      templates.push_back({read_template_meta(file.meta, file.name, path), file.document});
    }
    return templates;
  }();
  return all;
}

const GalleryTemplate& find_template(std::string_view name) {
  std::vector<std::string> names;
  for (const GalleryTemplate& one : gallery()) {
    if (one.meta.name == name) return one;
    names.push_back(one.meta.name);
  }
  const auto near = nearest_word(lower_ascii(name), names);
  throw Error(
      ErrorKind::kIo, "there is no template " + in_quotes(name),
      near ? "did you mean " + in_quotes(*near) + "?" : "the templates are " + join(names, ", "));
}

std::string instantiate_template(const GalleryTemplate& from, std::string_view id,
                                 std::string_view base_model) {
  Document document = parse_document(from.document, from.meta.name + ".dlm");
  document.frontmatter.dlm_id = std::string(id);
  document.frontmatter.base_model = std::string(base_model);
  return serialize_document(document.frontmatter, document.sections);
}

}  // namespace dlm
