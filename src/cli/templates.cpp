// dlm templates: lists the gallery of documents to start from, and shows one.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "cli/command.h"
#include "cli/console.h"
#include "doc/gallery.h"
#include "support/json.h"

namespace dlm {

namespace {

Json list_json(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) array.push_back(text);
  return array;
}

Json meta_json(const TemplateMeta& meta) {
  Json json = Json::object();
  json.set("name", meta.name);
  json.set("title", meta.title);
  json.set("domain_tags", list_json(meta.domain_tags));
  json.set("recommended_base", meta.recommended_base);
  json.set("expected_steps", meta.expected_steps ? Json(*meta.expected_steps) : Json());
  Json durations = Json::object();
  for (const auto& [machine, time] : meta.expected_duration) durations.set(machine, time);
  json.set("expected_duration", std::move(durations));
  json.set("summary", meta.summary);
  json.set("sample_prompts", list_json(meta.sample_prompts));
  return json;
}

int run_list(bool as_json) {
  if (as_json) {
    Json all = Json::array();
    for (const GalleryTemplate& one : gallery()) all.push_back(meta_json(one.meta));
    write_out(all.dump(2) + "\n");
    return 0;
  }
  size_t width = 0;
  for (const GalleryTemplate& one : gallery()) width = std::max(width, one.meta.name.size());
  for (const GalleryTemplate& one : gallery()) {
    write_out(fmt::format("{:<{}}  {}  ({})\n", one.meta.name, width, one.meta.title,
                          one.meta.recommended_base));
  }
  return 0;
}

}  // namespace

Action add_templates(CLI::App& app, const GlobalOptions&) {
  CLI::App* group = app.add_subcommand("templates", "Documents to start from");
  auto as_json = std::make_shared<bool>(false);
  auto name = std::make_shared<std::string>();
  CLI::App* list = group->add_subcommand("list", "List the templates");
  list->add_flag("--json", *as_json, "Print JSON");
  CLI::App* show = group->add_subcommand("show", "Print the document of one template");
  show->add_option("name", *name, "The template")->required()->type_name("NAME");
  return [group, list, show, as_json, name] {
    if (list->parsed()) return run_list(*as_json);
    if (show->parsed()) {
      write_out(find_template(*name).document);
      return 0;
    }
    write_out(group->help());
    return 2;
  };
}

}  // namespace dlm
