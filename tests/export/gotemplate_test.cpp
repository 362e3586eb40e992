// The language of Ollama's templates, against texts worked out by hand from the documentation of
// Go's text/template.
#include <gtest/gtest.h>

#include "export/gotemplate/evaluate.h"
#include "export/gotemplate/parser.h"
#include "export/ollama_template.h"
#include "support/error.h"

namespace dlm {
namespace {

using gotemplate::Value;

Value chat() {
  return Value::map(
      {{"System", "be brief"},
       {"Zero", Value(int64_t{0})},
       {"Messages", Value::list({Value::structure({{"Role", "user"}, {"Content", "hello"}}),
                                 Value::structure({{"Role", "assistant"}, {"Content", "hi"}})})}});
}

std::string run(const std::string& source) {
  return gotemplate::evaluate(gotemplate::parse(source), chat());
}

struct Case {
  const char* source;
  const char* expected;
};

TEST(GoTemplate, WritesWhatTheLanguageSays) {
  const Case cases[] = {
      {"plain } text { here", "plain } text { here"},
      {"{{ .System }}", "be brief"},
      {"{{.System}}!", "be brief!"},
      // Trim markers take blanks and line ends of the text, on their own side only.
      {"a \n {{- .System -}} \n b", "abe briefb"},
      {"a \n {{ .System -}} \n b", "a \n be briefb"},
      {"a \n {{- .System }} \n b", "abe brief \n b"},
      {"a {{- /* said nowhere */ -}} b", "ab"},
      {"a {{/* said nowhere */}} b", "a  b"},
      {"{{- \"\" -}}  \n  {{- \"x\" }}", "x"},
      {"{{ -3 }}{{- 3 }}", "-33"},
      {"{{-3}}", "-3"},
      // Strings.
      {"{{ \"a\\n\\\"b\\\"\\t\\\\\" }}", "a\n\"b\"\t\\"},
      {"{{ `raw\\n{{` }}", "raw\\n{{"},
      {"{{ \"{{\" }}", "{{"},
      // Truth.
      {"{{ if .System }}y{{ else }}n{{ end }}", "y"},
      {"{{ if .Zero }}y{{ else }}n{{ end }}", "n"},
      {"{{ if .Absent }}y{{ else }}n{{ end }}", "n"},
      {"{{ .Absent }}", "<no value>"},
      {"{{ if not .System }}a{{ else if .Messages }}b{{ else }}c{{ end }}", "b"},
      {"{{ if false }}a{{ else if false }}b{{ else }}c{{ end }}d", "cd"},
      {"{{ with .System }}[{{ . }}]{{ end }}", "[be brief]"},
      {"{{ with .Absent }}x{{ else }}none{{ end }}", "none"},
      {"{{ and .System .Zero }}|{{ or .Zero .System }}", "0|be brief"},
      {"{{ and true (eq 1 1) }}", "true"},
      // `and` stops before what would fail.
      {"{{ and false (index .Messages 9) }}", "false"},
      // Comparison.
      {"{{ eq 1 2 3 1 }}{{ ne \"a\" \"b\" }}{{ lt 1 2 }}{{ ge 1 2 }}{{ le \"a\" \"b\" }}",
       "truetruetruefalsetrue"},
      // Ranges.
      {"{{ range .Messages }}{{ .Role }}:{{ .Content }};{{ end }}", "user:hello;assistant:hi;"},
      {"{{ range $i, $m := .Messages }}{{ $i }}{{ $m.Role }}{{ $.System }};{{ end }}",
       "0userbe brief;1assistantbe brief;"},
      {"{{ range $m := .Messages }}{{ $m.Content }}{{ end }}", "hellohi"},
      {"{{ range .Absent }}x{{ else }}empty{{ end }}", "empty"},
      {"{{ range .Messages }}{{ .Role }}{{ break }}{{ end }}", "user"},
      {"{{ range .Messages }}{{ if eq .Role \"user\" }}{{ continue }}{{ end }}{{ .Role }}{{ end }}",
       "assistant"},
      {"{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}{{ $last }} "
       "{{ end }}",
       "false true "},
      // Variables live to the end of their block; = changes the outer one.
      {"{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"},
      {"{{ $x := 1 }}{{ range .Messages }}{{ $x = .Role }}{{ end }}{{ $x }}", "assistant"},
      {"{{ if $x := .System }}{{ $x }}{{ end }}", "be brief"},
      // Pipelines and functions.
      {"{{ .Messages | len }}", "2"},
      {"{{ 2 | eq 2 }}", "true"},
      {"{{ (index .Messages 1).Role }}", "assistant"},
      {"{{ slice .System 3 5 }}|{{ len \"\u00fc\" }}", "br|2"},
      {"{{ print 1 2 \"a\" 3 }}", "1 2a3"},
  };
  for (const Case& c : cases) EXPECT_EQ(run(c.source), c.expected) << c.source;
}

TEST(GoTemplate, RefusesWhatTheLanguageRefuses) {
  for (const char* source : {"{{ .System",
                             "{{ if .System }}x",
                             "x{{ end }}",
                             "{{ }}",
                             "{{ else }}",
                             "{{ break }}",
                             "{{ \"open }}",
                             "{{ $y }}",
                             "{{ $x = 1 }}",
                             "{{ nothing 1 }}",
                             "{{ template \"x\" }}",
                             "{{ eq 1 \"1\" }}",
                             "{{ eq .System }}",
                             "{{ index .Messages 2 }}",
                             "{{ slice .System 9 }}",
                             "{{ (index .Messages 0).Name }}",
                             "{{ .System.Name }}",
                             "{{ .Messages }}",
                             "{{ 1.5 }}",
                             "{{ (.System }}",
                             "{{ .System 1 }}",
                             "{{/* open }}",
                             "{{ if }}x{{ end }}",
                             "{{ range .System }}{{ end }}",
                             "{{ 99999999999999999999 }}"}) {
    EXPECT_THROW(run(source), Error) << source;
  }
}

TEST(GoTemplate, RefusesNestingWithoutEnd) {
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "{{ if true }}";
  EXPECT_THROW(gotemplate::parse(deep), Error);
  EXPECT_THROW(gotemplate::parse("{{ " + std::string(5000, '(')), Error);
}

TEST(OllamaTemplate, JoinsNeighboursAndGathersSystemTexts) {
  const OllamaTemplate t(
      "[{{ .System }}]{{ range .Messages }}<{{ .Role }}|{{ .Content }}>{{ end }}");
  EXPECT_EQ(t.render({{"system", "a"},
                      {"system", "b"},
                      {"user", "c"},
                      {"user", "d"},
                      {"tool", "e"},
                      {"tool", "f"},
                      {"system", "g"}}),
            "[a\n\nb\n\ng]<system|a\n\nb><user|c\n\nd><tool|e><tool|f><system|g>");
}

}  // namespace
}  // namespace dlm
