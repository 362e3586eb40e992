// The gallery: documents to start from, each with a description beside it. They are part of the
// program; nothing is fetched, and no folder is looked at.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

// NAME.meta.yaml. Unknown keys are refused; texts are trimmed.
struct TemplateMeta {
  std::string name;  // that of the files
  std::string title;
  std::vector<std::string> domain_tags;
  std::string recommended_base;  // the base of the document itself
  std::optional<int64_t> expected_steps;
  std::map<std::string, std::string> expected_duration;  // kind of machine → words
  std::string summary;
  std::vector<std::string> sample_prompts;  // which the document does not hold
};

struct GalleryTemplate {
  TemplateMeta meta;
  std::string_view document;  // canonical text, version 15
};

// By name.
const std::vector<GalleryTemplate>& gallery();

// Throws Error(kIo) for a name that is not there, with the nearest one.
const GalleryTemplate& find_template(std::string_view name);

// The template as a document of its own, under another id and perhaps on another base.
std::string instantiate_template(const GalleryTemplate& from, std::string_view id,
                                 std::string_view base_model);

// Reads a description, whose `name` must be `name`. Throws Error(kParse) with every finding, at the
// place of the first in `path`.
TemplateMeta read_template_meta(std::string_view yaml, std::string_view name,
                                const std::string& path);

}  // namespace dlm
