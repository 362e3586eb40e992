// A chat's shape written as a Go template. No trim markers: every blank and line end that stands
// outside of the actions is text of the prompt.
#include "export/chat_shape.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr const char* kContent = "{{ $m.Content }}";
constexpr const char* kFirstIsSystem = "(eq (index $.Messages 0).Role \"system\")";

// Text as the language writes it outside of actions.
std::string literal(const std::string& text) {
  if (text.find("\"\"\"") != text.npos) {
    throw Error(ErrorKind::kExport, "the base's chat template writes three double quotes in a row",
                "a Modelfile cannot hold them; export with --no-template");
  }
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text.compare(at, 2, "{{") == 0) {
      out += "{{ \"{{\" }}";
      at += 2;
    } else {
      out += text[at++];
    }
  }
  // A brace at the end would join the brace of an action that follows.
  if (!out.empty() && out.back() == '{') out.replace(out.size() - 1, 1, "{{ \"{\" }}");
  return out;
}

std::string when(const std::string& condition, const std::string& then,
                 const std::string& otherwise = {}) {
  if (then == otherwise) return then;
  return "{{ if " + condition + " }}" + then + (otherwise.empty() ? "" : "{{ else }}" + otherwise) +
         "{{ end }}";
}

std::string turn(const ChatShape::Turn& t) {
  return literal(t.before) + kContent + literal(t.after);
}

std::string system_branch(const ChatShape& s) {
  std::string first = turn(s.system);
  if (s.empty_system) first = when("$m.Content", first, literal(*s.empty_system));
  return when("eq $i 0", first, s.later_system ? turn(*s.later_system) : "");
}

std::string user_branch(const ChatShape& s) {
  std::string before = literal(s.user.before);
  if (s.system_opens_user) {
    before = when(std::string("not (and (eq $i 1) ") + kFirstIsSystem + ")", before);
  }
  const std::string system = literal(s.system.before) + "{{ $.System }}" + literal(s.system.after);
  if (s.system_place == ChatShape::System::kFolded)
    before += when("and $.System (le $i 1)", system);
  if (s.system_place == ChatShape::System::kLastUser) before += when("and $.System $last", system);
  return before + kContent + literal(s.user.after);
}

}  // namespace

std::string go_chat_template(const ChatShape& shape, const std::string& bos, bool bos_is_added) {
  ChatShape s = shape;
  if (bos_is_added && !bos.empty() && s.begin.starts_with(bos)) s.begin.erase(0, bos.size());
  const bool has_turn = s.system_place == ChatShape::System::kTurn;
  const bool needs_last =
      s.assistant != s.last_assistant || s.system_place == ChatShape::System::kLastUser;
  std::string out = literal(s.begin) + "{{ range $i, $m := .Messages }}";
  if (needs_last) out += "{{ $last := eq (len (slice $.Messages $i)) 1 }}";
  if (!s.no_system.empty()) {
    out += when("and (eq $i 0) (ne $m.Role \"system\")", literal(s.no_system));
  }
  if (has_turn) out += "{{ if eq $m.Role \"system\" }}" + system_branch(s) + "{{ else ";
  out += std::string(has_turn ? "" : "{{ ") + "if eq $m.Role \"user\" }}" + user_branch(s);
  out += "{{ else if eq $m.Role \"assistant\" }}" +
         when("$last", turn(s.last_assistant), turn(s.assistant));
  return out + "{{ end }}{{ end }}" + literal(s.generation);
}

}  // namespace dlm
