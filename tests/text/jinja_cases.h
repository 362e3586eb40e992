// Tables of template cases and the variables that they read.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <string>

#include "support/error.h"
#include "support/json.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace dlm {

struct Case {
  const char* source;
  const char* text;
};

inline constexpr const char* kCaseVariables = R"json({
  "a": 3, "b": 2.5, "s": "Hello World", "u": "Größe 你好", "e": "", "n": null, "t": true, "f": false,
  "l": [1, 2, 3, 4],
  "m": {"x": 1, "items": "I", "k y": [1, {"z": "w"}]},
  "ms": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo", "n": 2},
         {"role": "user", "content": "Bye"}],
  "q": "it's \"q\"\n\t\\"
})json";

inline std::string render_source(const std::string& source, const jinja::Limits& limits = {}) {
  std::vector<std::pair<std::string, jinja::Value>> globals;
  const Json variables = parse_json(kCaseVariables);
  for (const auto& [name, value] : variables.members()) {
    globals.emplace_back(name, jinja::Value::from_json(value));
  }
  const jinja::Template parsed = jinja::parse_template(source);
  return jinja::render(parsed, std::move(globals), {2024, 7, 26, 15, 4, 5}, limits).text;
}

// The text, or "line: message" of the error.
inline std::string render_or_message(const std::string& source, const jinja::Limits& limits = {}) {
  try {
    return render_source(source, limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_FALSE(error.hint().empty());
    return std::to_string(error.place().line) + ": " + error.message();
  }
}

inline void expect_cases(std::span<const Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(render_or_message(c.source), c.text) << c.source;
}

}  // namespace dlm
