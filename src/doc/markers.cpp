// Provenance markers: strict reading, because what they say decides about later mining and
// synthesis.
#include "doc/markers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "doc/fence.h"
#include "doc/iso_time.h"
#include "doc/python_text.h"

namespace dlm {
namespace {

constexpr std::string_view kHarvestHead = "<!-- dlm-auto-harvest: source=\"";
constexpr std::string_view kHarvestTail = "\" -->";
constexpr std::string_view kTail = " -->";
constexpr std::array<std::string_view, 5> kMinedKeys{
    "judge_name", "judge_score_chosen", "judge_score_rejected", "mined_at", "mined_run_id"};
constexpr std::array<std::string_view, 4> kSynthKeys{"synth_teacher", "synth_strategy", "synth_at",
                                                     "source_section_id"};

constexpr const char* kHint =
    "dlm writes this line; put it back as it was, or remove it to keep the section as your own";

// What stands between "<!-- NAME:" and " -->", when the line is such a frame.
std::optional<std::string_view> marker_body(std::string_view line, const std::string& name) {
  const std::string head = "<!-- " + name + ":";
  if (!line.starts_with(head) || !line.ends_with(kTail) ||
      line.size() < head.size() + kTail.size()) {
    return std::nullopt;
  }
  return line.substr(head.size(), line.size() - head.size() - kTail.size());
}

template <size_t N>
std::string list_of(const std::array<std::string_view, N>& keys) {
  std::string list;
  for (const std::string_view key : keys) list += (list.empty() ? "" : ", ") + std::string(key);
  return list;
}

// The values of `keys`, in their order.
template <size_t N>
std::array<std::string, N> read_values(std::string_view body, const std::string& name,
                                       const std::array<std::string_view, N>& keys,
                                       const Place& place) {
  size_t pos = 0;
  const auto attributes = read_attributes(body, pos);
  if (!attributes || pos != body.size()) {
    throw Error(ErrorKind::kParse, "invalid " + name + " marker syntax",
                "its attributes are key=\"value\" pairs, each with one blank before it", place);
  }
  std::array<std::string, N> values;
  std::array<bool, N> seen{};
  for (const auto& [key, value] : *attributes) {
    const size_t i = static_cast<size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
    if (i < N && seen[i]) {
      throw Error(ErrorKind::kParse, name + " marker repeats attribute " + in_quotes(key), kHint,
                  place);
    }
    if (i == N) {
      throw Error(
          ErrorKind::kParse,
          name + " marker has unknown attribute " + in_quotes(key) + "; it takes " + list_of(keys),
          kHint, place);
    }
    seen[i] = true;
    values[i] = value;
  }
  std::string missing;
  for (size_t i = 0; i < N; ++i) {
    if (seen[i]) continue;
    missing += missing.empty() ? "" : ", ";
    missing += keys[i];
  }
  if (!missing.empty()) {
    throw Error(ErrorKind::kParse, name + " marker is missing required attribute(s) " + missing,
                kHint, place);
  }
  return values;
}

[[noreturn]] void fail(const std::string& message, const Place& place) {
  throw Error(ErrorKind::kParse, message, kHint, place);
}

MinedMark read_mined(std::string_view body, const Place& place) {
  const std::string name = "dlm-auto-mined";
  auto values = read_values(body, name, kMinedKeys, place);
  MinedMark mark;
  mark.judge_name = std::move(values[0]);
  const auto chosen = parse_python_float(values[1]);
  const auto rejected = parse_python_float(values[2]);
  if (!chosen || !rejected) fail(name + " marker judge scores must be floats", place);
  if (!std::isfinite(*chosen) || !std::isfinite(*rejected)) {
    fail(name + " marker judge scores must be finite", place);
  }
  mark.judge_score_chosen = *chosen;
  mark.judge_score_rejected = *rejected;
  mark.mined_at = std::move(values[3]);
  if (!is_iso_time(mark.mined_at)) {
    fail(name + " marker mined_at must be ISO-8601, got " + in_quotes(mark.mined_at), place);
  }
  const auto run_id = parse_python_int(values[4]);
  if (!run_id)
    fail(name + " marker mined_run_id must be an integer, got " + in_quotes(values[4]), place);
  if (*run_id < 1) fail(name + " marker mined_run_id must be >= 1", place);
  mark.mined_run_id = *run_id;
  return mark;
}

SynthMark read_synth(std::string_view body, const Place& place) {
  const std::string name = "dlm-auto-synth";
  auto values = read_values(body, name, kSynthKeys, place);
  SynthMark mark{values[0], values[1], values[2], values[3]};
  if (!is_iso_time(mark.synth_at)) {
    fail(name + " marker synth_at must be ISO-8601, got " + in_quotes(mark.synth_at), place);
  }
  const std::string& id = mark.source_section_id;
  if (id.size() != 16 || id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    fail(name + " marker source_section_id must be a 16-char lowercase hex section id", place);
  }
  if (mark.synth_teacher.empty()) fail(name + " marker synth_teacher must be non-empty", place);
  if (mark.synth_strategy.empty()) fail(name + " marker synth_strategy must be non-empty", place);
  return mark;
}

const std::string& checked(const std::string& value, const char* key) {
  if (value.find_first_of("\"\r\n") != std::string::npos) {
    throw Error(
        ErrorKind::kParse,
        std::string("the marker value ") + key + " cannot contain double-quotes or newlines",
        "remove them from the value");
  }
  return value;
}

std::string pair(const char* key, const std::string& value) {
  return std::string(" ") + key + "=\"" + checked(value, key) + "\"";
}

}  // namespace

bool read_marker(std::string_view line, Section& section, const Place& place) {
  const bool is_instruction = section.type == SectionType::kInstruction;
  const bool is_preference = section.type == SectionType::kPreference;
  if (!line.starts_with("<!-- dlm-auto-") || (!is_instruction && !is_preference)) return false;
  if (line.starts_with(kHarvestHead) && line.ends_with(kHarvestTail) &&
      line.size() >= kHarvestHead.size() + kHarvestTail.size()) {
    const std::string_view source =
        line.substr(kHarvestHead.size(), line.size() - kHarvestHead.size() - kHarvestTail.size());
    if (source.find('"') != std::string_view::npos) return false;
    section.harvest = HarvestMark{std::string(source)};
    return true;
  }
  if (is_preference) {
    const auto body = marker_body(line, "dlm-auto-mined");
    if (body) section.mined = read_mined(*body, place);
    return body.has_value();
  }
  const auto body = marker_body(line, "dlm-auto-synth");
  if (body) section.synth = read_synth(*body, place);
  return body.has_value();
}

std::string marker_lines(const Section& section) {
  std::string out;
  if (section.harvest) {
    out += std::string(kHarvestHead) + checked(section.harvest->source, "source") +
           std::string(kHarvestTail) + "\n";
  }
  if (section.mined) {
    const MinedMark& m = *section.mined;
    out += "<!-- dlm-auto-mined:" + pair("judge_name", m.judge_name) +
           pair("judge_score_chosen", format_python_float(m.judge_score_chosen)) +
           pair("judge_score_rejected", format_python_float(m.judge_score_rejected)) +
           pair("mined_at", m.mined_at) + pair("mined_run_id", std::to_string(m.mined_run_id)) +
           std::string(kTail) + "\n";
  }
  if (section.synth) {
    const SynthMark& s = *section.synth;
    out += "<!-- dlm-auto-synth:" + pair("synth_teacher", s.synth_teacher) +
           pair("synth_strategy", s.synth_strategy) + pair("synth_at", s.synth_at) +
           pair("source_section_id", s.source_section_id) + std::string(kTail) + "\n";
  }
  return out;
}

}  // namespace dlm
