// dlm bases: which bases there are, what is known of them, and which of them are on this machine;
// fetching, checking and removing them.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "bases/hub_cache.h"
#include "bases/hub_name.h"
#include "bases/presence.h"
#include "bases/registry.h"
#include "cli/base_fetch.h"
#include "cli/base_measure.h"
#include "cli/command.h"
#include "cli/consent.h"
#include "cli/console.h"
#include "export/base_probes.h"
#include "store/license_register.h"
#include "support/json.h"
#include "support/progress.h"

namespace dlm {

namespace {

struct BasesOptions {
  std::string base;
  MeasureOptions measure;
  bool json = false;
  bool accepts_license = false;
  bool force = false;
  bool probe = false;
};

std::string count_of(int64_t params) {
  const double millions = static_cast<double>(params) / 1e6;
  if (millions < 10) return fmt::format("{:.1f}M", millions);
  if (millions < 1000) return fmt::format("{:.0f}M", millions);
  return fmt::format("{:.1f}B", millions / 1000);
}

std::string size_text(const BaseInfo& base) {
  return base.size_gb < 1 ? fmt::format("{:.2f} GB", base.size_gb)
                          : fmt::format("{:.1f} GB", base.size_gb);
}

const char* state_of(const BasePresence& presence) {
  if (presence.is_whole) return "here";
  return presence.is_partial ? "incomplete" : "absent";
}

Json presence_json(const BasePresence& presence) {
  Json json = Json::object();
  json.set("state", state_of(presence));
  json.set("folder", presence.folder.empty() ? Json() : Json(presence.folder.string()));
  json.set("bytes", presence.bytes);
  json.set("in_cache", presence.is_in_cache);
  if (presence.is_partial) json.set("problem", presence.problem);
  return json;
}

Json text_or_null(std::string_view text) {
  return text.empty() ? Json() : Json(text);
}

const char* name_of(Modality modality) {
  if (modality == Modality::kText) return "text";
  return modality == Modality::kVisionLanguage ? "vision-language" : "audio-language";
}

Json base_json(const BaseInfo& base, const BaseSearch& search, const fs::path& home) {
  Json json = Json::object();
  json.set("key", base.key);
  json.set("name", base.display_name);
  json.set("hf_id", text_or_null(base.hf_id));
  json.set("revision", text_or_null(base.revision));
  json.set("architecture", base.architecture);
  json.set("modality", name_of(base.modality));
  json.set("is_supported", base.modality == Modality::kText);
  json.set("params", base.params);
  json.set("size_gb", base.size_gb);
  json.set("context_length", base.context_length);
  json.set("effective_context_length", base.planned_context());
  json.set("recommended_sequence_len", base.recommended_sequence_len);
  json.set("dialect", base.dialect);
  json.set("gguf_arch", text_or_null(base.gguf_arch));
  json.set("pre_tokenizer", text_or_null(base.pre_tokenizer));
  json.set("reasoning", base.is_reasoning);
  json.set("suggested_temperature", base.suggested_temperature());
  json.set("draft", text_or_null(base.draft_key));
  json.set("license", base.license);
  json.set("license_url", text_or_null(base.license_url));
  json.set("needs_acceptance", base.needs_acceptance);
  const auto accepted = accepted_license(home, base.key);
  json.set("accepted_at", accepted ? Json(accepted->accepted_at) : Json());
  json.set("redistributable", base.is_redistributable);
  json.set("capability_warning", text_or_null(base.capability_warning));
  json.set("provenance", text_or_null(base.provenance));
  if (base.media.num_tokens > 0) {
    Json media = Json::object();
    media.set("token", base.media.token);
    media.set("num_tokens", base.media.num_tokens);
    if (base.media.height > 0) {
      media.set("height", base.media.height);
      media.set("width", base.media.width);
      media.set("dynamic", base.media.is_dynamic);
    } else {
      media.set("sample_rate", base.media.sample_rate);
      media.set("max_seconds", base.media.max_seconds);
    }
    json.set("media", std::move(media));
  }
  const Json found = presence_json(find_presence(base.key, search));
  for (const auto& [key, value] : found.members()) json.set(key, value);
  return json;
}

// Of one that no key stands for: on the hub, or in a folder.
Json cached_json(const std::string& base, const BaseSearch& search) {
  Json json = Json::object();
  json.set("key", base);
  if (is_hub_name(base)) {
    const HubName name = parse_hub_name(base);
    json.set("hf_id", name.repository);
    json.set("revision", name.revision);
  }
  const Json found = presence_json(find_presence(base, search));
  for (const auto& [key, value] : found.members()) json.set(key, value);
  return json;
}

std::vector<const BaseInfo*> all_bases() {
  std::vector<const BaseInfo*> all;
  for (const BaseInfo& base : known_bases()) all.push_back(&base);
  for (const BaseInfo& base : media_bases()) all.push_back(&base);
  return all;
}

int run_list(bool as_json, const GlobalOptions& globals) {
  const BaseSearch search = base_search();
  const std::vector<std::string> others = other_cached_bases(search);
  if (as_json) {
    const fs::path home = home_folder(globals);
    Json list = Json::array();
    for (const BaseInfo* base : all_bases()) list.push_back(base_json(*base, search, home));
    for (const std::string& base : others) list.push_back(cached_json(base, search));
    write_out(list.dump(2) + "\n");
    return 0;
  }
  constexpr const char* kRow = "{:<30}  {:>6}  {:>8}  {:<10}  {}\n";
  std::string text = fmt::format(kRow, "KEY", "PARAMS", "SIZE", "LICENCE", "STATE");
  for (const BaseInfo* base : all_bases()) {
    const BasePresence found = find_presence(base->key, search);
    std::string state = found.is_whole || found.is_partial ? state_of(found) : "-";
    if (base->modality != Modality::kText) state = "not run by this version";
    if (base->needs_acceptance && !found.is_whole) state += ", licence to accept";
    text += fmt::format(kRow, base->key, count_of(base->params), size_text(*base), base->license,
                        state);
  }
  for (const std::string& base : others) {
    text += fmt::format("{}  {}  here\n", base, format_bytes(find_presence(base, search).bytes));
  }
  write_out(text);
  return 0;
}

void add_line(std::string& text, const char* label, std::string_view value) {
  if (!value.empty()) text += fmt::format("{:<14} {}\n", label, value);
}

std::string described(const BaseInfo& base, const fs::path& home) {
  std::string text;
  add_line(text, "key", base.key);
  add_line(text, "name", base.display_name);
  if (!base.hf_id.empty())
    add_line(text, "source", "https://huggingface.co/" + std::string(base.hf_id));
  add_line(text, "revision", base.revision);
  add_line(text, "architecture", base.architecture);
  if (base.modality != Modality::kText) {
    add_line(text, "kind", std::string(base_of(base.modality)) + "; this version runs text only");
  }
  add_line(text, "size",
           fmt::format("{} parameters, {:g} GB", count_of(base.params), base.size_gb));
  add_line(text, "context",
           fmt::format("{} tokens, {} recommended for training", base.planned_context(),
                       base.recommended_sequence_len));
  add_line(text, "dialect", std::string(base.dialect) + (base.is_reasoning ? ", reasoning" : ""));
  add_line(text, "gguf",
           base.gguf_arch.empty()
               ? std::string()
               : fmt::format("{}, pre-tokenizer {}", base.gguf_arch, base.pre_tokenizer));
  add_line(text, "draft", base.draft_key);
  std::string license(base.license);
  if (!base.license_url.empty()) license += ", " + std::string(base.license_url);
  if (!base.is_redistributable) license += "; may not be passed on";
  add_line(text, "licence", license);
  if (base.needs_acceptance) {
    const auto accepted = accepted_license(home, base.key);
    add_line(
        text, "",
        accepted ? "accepted " + accepted->accepted_at : "has to be accepted: --i-accept-license");
  }
  add_line(text, "provenance", base.provenance);
  add_line(text, "warning", base.capability_warning);
  return text;
}

// Probed anew, as the person asks for it; a report without faults spares the next training that.
ProbeReport probe_now(const std::string& base, const BaseSearch& search, const fs::path& home) {
  ProbeRequest request;
  request.base = base;
  request.search = search;
  request.skips_exports = skips_export_probes();
  const ProbeReport report = probe_base(request);
  keep_probe_report(home, report);
  return report;
}

int run_show(const BasesOptions& options, const GlobalOptions& globals) {
  const BaseSearch search = base_search();
  const fs::path home = home_folder(globals);
  const BaseInfo* base = find_any_base(options.base);
  const bool is_place = is_hub_name(options.base) || options.base.find('/') != std::string::npos;
  if (base == nullptr && !is_place) require_known_base(options.base);
  ProbeReport report;
  if (options.probe) report = probe_now(options.base, search, home);
  const int exit_code = report.faults().empty() ? 0 : 1;
  if (options.json) {
    Json json =
        base != nullptr ? base_json(*base, search, home) : cached_json(options.base, search);
    if (options.probe) json.set("probes", probes_json(report.probes));
    write_out(json.dump(2) + "\n");
    return exit_code;
  }
  std::string text;
  if (base != nullptr) {
    text = described(*base, home);
  } else {
    add_line(text, "key", options.base);
  }
  const BasePresence found = find_presence(options.base, search);
  add_line(text, "state",
           found.is_partial ? "incomplete: " + found.problem : std::string(state_of(found)));
  add_line(text, "folder", found.folder.string());
  if (found.bytes > 0) add_line(text, "on disk", format_bytes(found.bytes));
  if (options.probe) text += "\n" + probe_table(report.probes);
  write_out(text);
  return exit_code;
}

int run_pull_command(const BasesOptions& options, const GlobalOptions& globals) {
  ConsentRequest consent;
  consent.base = options.base;
  consent.home = home_folder(globals);
  consent.is_given = options.accepts_license;
  require_license(consent);
  const PullPlan plan = fetch_base(options.base, globals.quiet);
  if (options.json) {
    Json json = Json::object();
    json.set("base", plan.base);
    json.set("hf_id", plan.name.repository);
    json.set("commit", plan.commit);
    json.set("folder", plan.folder.string());
    json.set("was_here", plan.is_complete);
    json.set("fetched_bytes", plan.missing_bytes);
    write_out(json.dump(2) + "\n");
  } else if (!globals.quiet && !plan.is_complete) {
    say("done: " + plan.base + " is on this machine; nothing of it is fetched again");
  }
  return 0;
}

int run_verify(const BasesOptions& options) {
  const BaseSearch search = base_search();
  const BasePresence found = find_presence(options.base, search);
  if (!found.is_whole && !found.is_partial) locate_base(options.base, search);  // throws
  const std::vector<CheckedFile> files = verify_files(found.folder, search);
  int64_t num_damaged = 0;
  std::string text;
  Json list = Json::array();
  for (const CheckedFile& file : files) {
    const bool is_damaged = file.state == CheckedFile::State::kDamaged;
    num_damaged += is_damaged;
    const char* state = is_damaged                                  ? "damaged"
                        : file.state == CheckedFile::State::kIntact ? "intact"
                                                                    : "unknown";
    text += fmt::format("{:<8} {:>10}  {}\n", state, format_bytes(file.bytes), file.name);
    list.push_back(Json::object(
        {{"name", Json(file.name)}, {"bytes", Json(file.bytes)}, {"state", Json(state)}}));
  }
  const bool is_good = found.is_whole && num_damaged == 0;
  if (options.json) {
    Json json = Json::object();
    json.set("base", options.base);
    json.set("folder", found.folder.string());
    json.set("is_whole", is_good);
    json.set("files", std::move(list));
    write_out(json.dump(2) + "\n");
  } else {
    write_out(text);
  }
  if (is_good) {
    if (!found.is_in_cache) {
      say("the files are whole; in this folder there are no digests to compare them with");
    }
    return 0;
  }
  throw Error(ErrorKind::kBase,
              num_damaged > 0 ? fmt::format("{} of {} files are damaged", num_damaged, files.size())
                              : found.problem,
              "`dlm bases rm " + options.base + "`, then `dlm bases pull " + options.base + "`",
              {found.folder.string()});
}

int run_rm(const BasesOptions& options, const GlobalOptions& globals) {
  const BaseSearch search = base_search();
  const CachedPlace place = cached_place(options.base, search);
  const HubCache cache(search.hub_cache, place.repository);
  if (place.commit.empty() || !is_folder(cache.folder())) {
    const BasePresence found = find_presence(options.base, search);
    if (found.is_whole || found.is_partial) {
      throw Error(ErrorKind::kBase,
                  "base \"" + options.base + "\" was not fetched by dlm bases pull",
                  "it lies in a folder of its own: remove that yourself", {found.folder.string()});
    }
    locate_base(options.base, search);  // throws
  }
  const std::string what = place.repository + " at " + place.commit.substr(0, 7);
  if (!options.force && !agrees("remove " + what + " from " + cache.folder().string() + "?")) {
    say("cancelled");
    return 0;
  }
  const uint64_t freed = cache.remove(place.commit);
  if (!globals.quiet) say("removed " + what + ", " + format_bytes(freed) + " freed");
  return 0;
}

}  // namespace

Action add_bases(CLI::App& app, const GlobalOptions& globals) {
  auto options = std::make_shared<BasesOptions>();
  CLI::App* group = app.add_subcommand("bases", "Base models: list, show, fetch, check, remove");
  group->require_subcommand(1);
  group->fallthrough();
  const auto add = [&](const char* name, const char* what) {
    CLI::App* one = group->add_subcommand(name, what);
    one->fallthrough();
    return one;
  };
  const auto add_base = [&](CLI::App* one) {
    one->add_option("base", options->base,
                    "A key, or hf:org/name, or hf:org/name@revision; to show, also a folder")
        ->required()
        ->type_name("BASE");
  };
  const auto add_json = [&](CLI::App* one) {
    one->add_flag("--json", options->json, "Print JSON");
  };
  CLI::App* list = add("list", "List the known bases, and those in the cache");
  CLI::App* show = add("show", "Show what is known of a base and where it lies");
  CLI::App* pull = add("pull", "Fetch a base from the hub; what is here already is kept");
  CLI::App* verify = add("verify", "Compare every byte of a base with the published digests");
  CLI::App* rm = add("rm", "Remove a base that was fetched from the hub");
  CLI::App* measure = add("measure", "Measure how well a base predicts texts, in bits per byte");
  for (CLI::App* one : {show, pull, verify, rm, measure}) add_base(one);
  for (CLI::App* one : {list, show, pull, verify, measure}) add_json(one);
  measure
      ->add_option("texts", options->measure.texts,
                   "Files, or folders with .txt, .md and .dlm files")
      ->required()
      ->type_name("TEXT");
  measure->add_option("--context", options->measure.context, "Longest window of text in tokens")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(2, 1 << 20));
  show->add_flag("--probe", options->probe,
                 "Look at the files of one that is here: what would be refused, and why");
  pull->add_flag("--i-accept-license", options->accepts_license,
                 "Accept the licence of a base that asks for it");
  rm->add_flag("--force", options->force, "Do not ask");
  return [options, &globals, list, show, pull, verify, measure] {
    if (list->parsed()) return run_list(options->json, globals);
    if (show->parsed()) return run_show(*options, globals);
    if (pull->parsed()) return run_pull_command(*options, globals);
    if (measure->parsed()) {
      return run_measure(options->base, options->measure, options->json, globals);
    }
    return verify->parsed() ? run_verify(*options) : run_rm(*options, globals);
  };
}

}  // namespace dlm
