// Statements and white space around tags: literal templates and the text that Jinja gives for them.
#include <gtest/gtest.h>

#include "text/jinja_cases.h"

namespace dlm {
namespace {

constexpr Case kStatements[] = {
    {"{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ "
     "loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% "
     "endfor %}",
     "1043TrueFalse42;2132FalseFalse413;3221FalseFalse424;4310FalseTrue43;"},
    {"{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}{% for k in m %}{{ k }},{% endfor "
     "%}{% for c in \"añ\" %}<{{ c }}>{% endfor %}{% for x in missing %}x{% else %}none{% endfor "
     "%}{% for x in [] %}x{% else %}empty{% endfor %}",
     "x=1;items=I;k y=[1, {'z': 'w'}];x,items,k y,<a><ñ>noneempty"},
    {"{% for x in l if x is odd %}{{ x }}/{{ loop.length }} {% else %}no{% endfor %}{% for x in l "
     "if x > 9 %}{{ x }}{% else %}no{% endfor %}",
     "1/2 3/2 no"},
    {"{% for x in l %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif "
     "%}{{ x }}{% endfor %}",
     "13"},
    {"{% for x in l %}{{ loop.cycle(\"a\", \"b\") }}{% endfor %}{% for x in [1,1,2] %}{% if "
     "loop.changed(x) %}{{ x }}{% endif %}{% endfor %}",
     "abab12"},
    {"{% for a, b in [[1,2],[3,4]] %}{{ a }}{{ b }}{% endfor %}{{ a }}{% for x in l %}{% for y in "
     "[1] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
     "1234311121314"},
    {"{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}", "2,3,4,5,1"},
    {"{% set ns = namespace(x=1, y=[]) %}{% for i in l %}{% set ns.x = ns.x + i %}{% set ns.y = "
     "ns.y + [i] %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}|",
     "11[1, 2, 3, 4]|"},
    {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c %}body {{ a }}{% endset %}[{{ c }}]{% set d | "
     "upper %}up{% endset %}{{ d }}{% if true %}{% set z = 5 %}{% endif %}{{ z }}",
     "12[body 1]UP5"},
    {"{% macro f(x, y=2, z=x) %}{{ x }}-{{ y }}-{{ z }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ "
     "f(1, z=9) }} {{ f(x=4) }} {{ f() }}|",
     "1-2-1 1-3-1 1-2-9 4-2-4 -2-|"},
    {"{% macro g() %}[{{ caller() }}]{% endmacro %}{% call g() %}inner{% endcall %}{% macro h() "
     "%}{{ caller(1, 2) }}{% endmacro %}{% call(p, q) h() %}{{ p }}+{{ q }}{% endcall %}",
     "[inner]1+2"},
    {"{% macro rec(n) %}{{ n }}{% if n > 0 %}{{ rec(n - 1) }}{% endif %}{% endmacro %}{{ rec(4) }}",
     "43210"},
    {"{% set v = \"out\" %}{% macro f() %}{{ v }}{% endmacro %}{% set v = \"new\" %}{{ f() }}{% "
     "macro g() %}{% set v = \"in\" %}{{ v }}{% endmacro %}{{ g() }}{{ v }}",
     "newinnew"},
    {"{% macro f(a) %}{{ a }}{% endmacro %}{{ f(*[1]) }}{{ f(**{\"a\": 2}) }}", "12"},
    {"{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace(\"a\", \"b\") | upper %}aaa{% "
     "endfilter %}{% with x = 1, y = 2 %}{{ x }}{{ y }}{% endwith %}{{ x }}|",
     "ABC HELLO WORLDBBB12|"},
    {"{% if a > 2 %}big{% elif a > 1 %}mid{% else %}small{% endif %}{% if f %}{% elif t %}T{% else "
     "%}F{% endif %}{% if n %}x{% endif %}",
     "bigT"},
    {"{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns[\"a\"] }}", "11"},
    {"{% for m in ms %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}bad{% endif %}{{ "
     "m['content'] | trim }}{% endfor %}",
     "HiYoBye"},
    {"{{ a if a else b, 1 }} {{ (a, 1) }} {% for i in 1, 2 %}{{ i }}{% endfor %}",
     "(3, 1) (3, 1) 12"},
};

TEST(JinjaStatement, RunsStatements) {
  expect_cases(kStatements);
}

constexpr Case kWhiteSpace[] = {
    {"{{ m | tojson }} {{ l | tojson }} {{ s | tojson }} {{ q | tojson }} {{ u | tojson }} {{ u | "
     "tojson(ensure_ascii=true) }} {{ m | tojson(indent=2) }} {{ {\"b\":1,\"a\":[]} | "
     "tojson(sort_keys=true) }} {{ l | tojson(separators=(\",\",\":\")) }} {{ \"\\x01\\x7f<>&'\" | "
     "tojson }} {{ 1.0 | tojson }} {{ n | tojson }} {{ [] | tojson(indent=4) }} {{ {\"a\":{}} | "
     "tojson(indent=1) }} {{ \"😀\" | tojson(true) }}",
     "{\"x\": 1, \"items\": \"I\", \"k y\": [1, {\"z\": \"w\"}]} [1, 2, 3, 4] \"Hello World\" "
     "\"it's \\\"q\\\"\\n\\t\\\\\" \"Größe 你好\" \"Gr\\u00f6\\u00dfe \\u4f60\\u597d\" {\n  \"x\": "
     "1,\n  \"items\": \"I\",\n  \"k y\": [\n    1,\n    {\n      \"z\": \"w\"\n    }\n  ]\n} "
     "{\"a\": [], \"b\": 1} [1,2,3,4] \"\\u0001\177<>&'\" 1.0 null [] {\n \"a\": {}\n} "
     "\"\\ud83d\\ude00\""},
    {"{% raw %}{{ not }} {% this %}{% endraw %}|{%- raw -%}  {{ x }}  {%- endraw -%}|",
     "{{ not }} {% this %}|{{ x }}|"},
    {"{# comment #}a{#- strip -#} b {#+ keep +#} c", "ab  c"},
    {"    indented", "    indented"},
    {"after", "after"},
    {"  {%- if true %}  x  {%- endif %}  y", "  x  y"},
    {"text  {{- a -}}  text {{ a }}  ", "text3text 3  "},
    {"   {%+ if true %}keep margin{% endif %}", "   keep margin"},
    {"{{ {\"a\": 1}[\"a\"] }} {{ {'a': {'b': 2}}.a.b }} {{ [[1, 2], [3]][0][1] }} {{ (1, 2)[1] }} "
     "{{ \"abc\"[1] }} {{ (\"a\" ~ \"b\").upper() }} {{ \"a\".upper().lower() }}",
     "1 2 2 2 b AB a"},
    {"{%- for x in [1,2] -%}  {{ x }}  {%- endfor -%}  |", "12|"},
    {"{%- set x = 1 -%}", ""},
    {"a\n  {% raw %}\n x {% y %}\n  {% endraw %}\nb", "a\n\n x {% y %}\nb"},
    {"{{ 1_000 }} {{ 1.5e3 }}", "1000 1500.0"},
    {"{{ 2 ** 3 ** 2 }} {{ 10 - 2 - 3 }} {{ 'a' ~ 1 ~ 2 }} {{ 1 if true else 2 if false else 3 }}",
     "64 5 a12 1"},
    {"{% for x in l %}{{ x }}{% endfor %}{{ x }}|", "1234|"},
    {"  {% if 1 %}a{% endif +%}\n  {%+ if 1 -%}\n b{% endif %}", "a\n  b"},
    {"{{ [1,2,3][1:] | first }} {{ m['k y'] | last | tojson }} {{ 'a' if 1 else 'b' | upper }} {{ "
     "('a' if 1 else 'b') | upper }}",
     "2 {\"z\": \"w\"} a A"},
    {"  {% if true %}\n  x\n  {% endif %}\ny\n", "  x\ny"},
    {"a\n{% if true %}\nb\n{% endif %}\nc", "a\nb\nc"},
    {"a\n  {# c #}\nb", "a\nb"},
    {"{% for i in [1,2] %}\n  {{ i }}\n{% endfor %}\n", "  1\n  2\n"},
    {"x {%- if true %} y {% endif -%} \n z", "x y z"},
    {"a\n\n", "a\n"},
    {"a\n", "a"},
    {"\n", ""},
    {"a\r\nb\r", "a\nb"},
    {"{{ 'a\nb' }}", "a\nb"},
    {"{% set x %}\n  hi\n{% endset %}\n[{{ x }}]", "[  hi\n]"},
    {"{%- macro f() -%}\n  x\n{%- endmacro -%}\n{{ f() }}\n\n{{ f() }}", "x\n\nx"},
    {"  \t{% if 1 %}a{% endif %}\n\t{% if 1 %}b{% endif %} {% if 1 %}c{% endif %}", "ab c"},
    {"{{ a }}\n  {{ a }}\n", "3\n  3"},
    {"a {#- x #}\nb", "ab"},
    {"a {# x -#}\n\n b", "a b"},
    {"{#\nmulti\n#}\nx", "x"},
    {"{% raw %}\n{{ a }}\n{% endraw %}\nz", "\n{{ a }}\nz"},
    {"{%\nif\ntrue\n%}q{%\nendif\n%}", "q"},
    {"{% for x in l -%}\n {{ x }}\n{%- endfor %}", "1234"},
    {"a\n {%- if t %}\n b\n {%- endif %}\n c", "a b c"},
    {"{% if t -%}\n\n  b  \n\n{%- endif %}\nend", "bend"},
    {"  {{ a }}  {% if t %}  x{% endif %}", "  3    x"},
    {"\n\n{{ a }}\n\n", "\n\n3\n"},
};

TEST(JinjaStatement, KeepsAndDropsWhiteSpaceAsJinjaDoes) {
  expect_cases(kWhiteSpace);
}

}  // namespace
}  // namespace dlm
