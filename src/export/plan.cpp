#include "export/plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "support/error.h"
#include "support/hash.h"
#include "support/json.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr const char* kQuants = "Q4_K_M, Q5_K_M, Q6_K, Q8_0, F16";

[[noreturn]] void misuse(const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::kUsage, what, hint);
}

ExportTarget target_of(const std::string& name) {
  std::vector<std::string> known;
  for (size_t i = 0; i < std::size(kExportTargetNames); ++i) {
    if (name == kExportTargetNames[i]) return static_cast<ExportTarget>(i);
    known.emplace_back(kExportTargetNames[i]);
  }
  const auto near = nearest_word(name, known);
  misuse("there is no target \"" + name + "\"",
         near ? "did you mean \"" + *near + "\"?" : "targets are " + join(known, ", "));
}

Quant quant_of(const ExportFlags& flags, const Frontmatter& f) {
  const std::string name =
      flags.quant.value_or(word_of(kQuantNameWords, f.export_config.default_quant));
  const auto quant = find_quant(name);
  const bool is_offered = quant && *quant <= Quant::kF16;
  if (!is_offered)
    misuse("there is no quant \"" + name + "\"", std::string("quants are ") + kQuants);
  return *quant;
}

std::vector<std::string> declared_names(const Frontmatter& f) {
  std::vector<std::string> names;
  if (!f.training.adapters) return names;
  for (const NamedAdapter& adapter : *f.training.adapters) names.push_back(adapter.name);
  return names;
}

void choose_adapters(ExportPlan& plan, const ExportFlags& flags, const Frontmatter& f) {
  const std::vector<std::string> declared = declared_names(f);
  const auto need_several = [&](const char* flag) {
    if (!declared.empty()) return;
    misuse(std::string(flag) + " goes with a document of several adapters",
           "this document has one without a name; leave the flag out");
  };
  if (flags.adapter) {
    need_several("--adapter");
    if (std::find(declared.begin(), declared.end(), *flags.adapter) == declared.end()) {
      misuse("the document declares no adapter \"" + *flags.adapter + "\"",
             "it has " + join(declared, ", "));
    }
    plan.adapters = {*flags.adapter};
  } else if (flags.adapter_mix) {
    need_several("--adapter-mix");
    const std::string method = flags.adapter_mix_method.value_or("linear");
    if (method != "linear" && method != "svd") {
      misuse("there is no mix method \"" + method + "\"",
             "linear is the exact sum, svd cuts it to the largest rank");
    }
    plan.mix_method = method == "svd" ? MixMethod::kSvd : MixMethod::kConcatenate;
    plan.mix = parse_mix(*flags.adapter_mix, declared);
  } else if (declared.empty()) {
    plan.adapters = {""};
  } else if (plan.target == ExportTarget::kVllm) {
    plan.adapters = declared;
  } else {
    misuse("the document has several adapters: " + join(declared, ", "),
           "choose one with --adapter NAME, or weigh them with --adapter-mix NAME:WEIGHT,...");
  }
  if (flags.adapter_mix_method && !flags.adapter_mix) {
    misuse("--adapter-mix-method goes with --adapter-mix", "leave it out, or say what to mix");
  }
}

// Merged or not, and what does not go together.
void choose_form(ExportPlan& plan, const ExportFlags& flags) {
  const bool is_server = plan.target == ExportTarget::kLlamaServer;
  if (flags.merged && flags.adapter_form) {
    misuse("--merged and --adapter-form exclude each other", "take one of them");
  }
  if (plan.is_gguf()) {
    plan.merged = flags.merged || (!is_server && !flags.adapter_form);
  } else {
    plan.merged = plan.target == ExportTarget::kHf;
  }
  plan.dequantize = flags.dequantize;
  if (flags.dequantize && !plan.merged) {
    misuse("--dequantize goes with a merged export",
           "it consents to merging an adapter that was trained on 4 bits; add --merged");
  }
}

std::string folder_of(const ExportPlan& plan) {
  std::string name = plan.is_gguf() ? std::string(quant_name(*plan.quant)) : plan.target_name();
  if (plan.target == ExportTarget::kLlamaServer) name += "-llama-server";
  if (plan.is_gguf() && plan.merged) name += "-merged";
  return name + plan.adapter_suffix();
}

void list_ignored(ExportPlan& plan, const ExportFlags& flags) {
  const bool is_ollama = plan.target == ExportTarget::kOllama;
  const bool is_hf = plan.target == ExportTarget::kHf;
  const bool is_gguf = plan.is_gguf();
  const std::pair<bool, const char*> given[] = {
      {flags.quant && !is_gguf, "--quant"},
      {flags.merged && !is_hf && !is_gguf, "--merged"},
      {flags.adapter_form && !is_gguf, "--adapter-form"},
      {flags.no_template && !is_gguf, "--no-template"},
      {flags.skip_ollama && !is_ollama, "--skip-ollama"},
      {flags.no_imatrix && !is_gguf, "--no-imatrix"},
      {flags.draft && !is_ollama, "--draft"},
      {flags.no_draft && !is_ollama, "--no-draft"},
      {flags.name && !is_ollama && plan.target != ExportTarget::kVllm, "--name"}};
  for (const auto& [is_given, flag] : given) {
    if (is_given) plan.ignored.emplace_back(flag);
  }
}

}  // namespace

std::string ExportPlan::quant_name_or_hf() const {
  return quant ? std::string(quant_name(*quant)) : "hf";
}

std::string ExportPlan::adapter_suffix() const {
  if (mix.empty()) {
    const auto one = adapter_name();
    return one ? "-" + *one : "";
  }
  std::string suffix = mix_method == MixMethod::kSvd ? "-svd" : "-mix";
  std::string parts;
  for (const MixPart& part : mix) parts += "-" + part.adapter + "-" + Json(part.weight).dump();
  // Files and models of Ollama have names of bounded length.
  constexpr size_t kMost = 64;
  if (parts.size() <= kMost) return suffix + parts;
  return suffix + "-" + std::to_string(mix.size()) + "-" + sha256_hex(parts).substr(0, 16);
}

std::optional<std::string> ExportPlan::adapter_name() const {
  if (adapters.size() != 1 || adapters.front().empty()) return std::nullopt;
  return adapters.front();
}

ExportPlan plan_export(const ExportFlags& flags, const Frontmatter& f) {
  if (flags.draft && flags.no_draft) {
    misuse("--draft and --no-draft exclude each other", "take one of them");
  }
  if (flags.adapter && flags.adapter_mix) {
    misuse("--adapter and --adapter-mix exclude each other", "take one of them");
  }
  if (flags.emit_sway_json) {
    misuse("--emit-sway-json is not offered",
           "a sway suite is made by the sway program, which reads the document itself");
  }
  ExportPlan plan;
  plan.target = target_of(flags.target);
  choose_adapters(plan, flags, f);
  if (plan.target == ExportTarget::kOllama || plan.target == ExportTarget::kLlamaServer) {
    plan.quant = quant_of(flags, f);
  }
  choose_form(plan, flags);
  plan.wants_imatrix = plan.is_gguf() && !flags.no_imatrix && *plan.quant <= Quant::kQ6_K;
  plan.has_template = !flags.no_template;
  plan.registers = plan.target == ExportTarget::kOllama && !flags.skip_ollama;
  plan.smokes = !flags.no_smoke;
  plan.name = flags.name;
  if (plan.name && plan.target == ExportTarget::kOllama) check_ollama_name(*plan.name);
  plan.draft = flags.draft;
  if (plan.draft) check_ollama_name(*plan.draft);
  if (plan.name && trim(*plan.name).empty()) {
    misuse("--name is empty", "give the name that the model is served under, or leave --name out");
  }
  plan.asks_registered_draft = !flags.no_draft;
  plan.folder = folder_of(plan);
  list_ignored(plan, flags);
  return plan;
}

std::vector<MixPart> parse_mix(std::string_view spec, const std::vector<std::string>& declared) {
  std::vector<MixPart> parts;
  constexpr const char* kForm = "write NAME:WEIGHT,NAME:WEIGHT with weights from 0 on";
  for (const std::string_view entry : split(spec, ',')) {
    const size_t colon = entry.rfind(':');
    if (colon == entry.npos) misuse("\"" + std::string(entry) + "\" is no part of a mix", kForm);
    const std::string name(trim(entry.substr(0, colon)));
    const std::string_view number = trim(entry.substr(colon + 1));
    double weight = 0;
    const auto read = std::from_chars(number.data(), number.data() + number.size(), weight);
    const bool is_number = read.ec == std::errc() && read.ptr == number.data() + number.size();
    if (!is_number || !std::isfinite(weight) || weight < 0) {
      misuse("the weight \"" + std::string(number) + "\" of \"" + name + "\" is none", kForm);
    }
    if (std::find(declared.begin(), declared.end(), name) == declared.end()) {
      misuse("the document declares no adapter \"" + name + "\"", "it has " + join(declared, ", "));
    }
    for (const MixPart& part : parts) {
      if (part.adapter == name) misuse("\"" + name + "\" stands twice in the mix", kForm);
    }
    parts.push_back({name, weight});
  }
  if (std::all_of(parts.begin(), parts.end(), [](const MixPart& p) { return p.weight == 0; })) {
    misuse("every weight of the mix is 0", "give at least one adapter some weight");
  }
  return parts;
}

void check_ollama_name(const std::string& name) {
  const auto is_part = [](std::string_view part) {
    const auto is_plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !part.empty() && is_plain(part.front()) &&
           std::all_of(part.begin(), part.end(),
                       [&](char c) { return is_plain(c) || c == '.' || c == '_' || c == '-'; });
  };
  const size_t slash = name.find('/');
  std::string_view rest(name);
  bool is_good = name.size() <= 118 && name.find("..") == name.npos;
  if (slash != name.npos) {
    is_good = is_good && is_part(rest.substr(0, slash));
    rest.remove_prefix(slash + 1);
  }
  const size_t colon = rest.find(':');
  if (colon != rest.npos) {
    is_good = is_good && is_part(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
  }
  if (is_good && is_part(rest)) return;
  misuse("\"" + name + "\" is no name of an Ollama model",
         "write [namespace/]name[:tag] of letters, digits, '.', '_' and '-'");
}

}  // namespace dlm
