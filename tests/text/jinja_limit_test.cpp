// What templates may not do: wrong syntax and wrong use with exact messages, and the limits that
// keep a hostile template from taking time, memory or stack.
#include <gtest/gtest.h>

#include "text/jinja_cases.h"

namespace dlm {
namespace {

constexpr Case kSyntaxErrors[] = {
    {"{% if true %}x", "1: a block is not closed; \"{% endif %}\" is missing"},
    {"a\nb\n{% for x in l %}", "3: a block is not closed; \"{% endfor %}\" is missing"},
    {"{% endif %}", "1: the statement 'endif' is not supported here"},
    {"\n\n{% foo %}", "3: the statement 'foo' is not supported here"},
    {"{% include 'x' %}", "1: the statement 'include' is not supported here"},
    {"{% import 'os' as os %}", "1: the statement 'import' is not supported here"},
    {"{% for x in l recursive %}{% endfor %}", "1: recursive loops are not supported"},
    {"{% break %}", "1: {% break %} is outside of a loop"},
    {"{% for x in l %}{% macro f() %}{% continue %}{% endmacro %}{% endfor %}",
     "1: {% continue %} is outside of a loop"},
    {"{{ a", "1: a tag is not closed; \"}}\" is missing"},
    {"x\n{{ a\n\n", "2: a tag is not closed; \"}}\" is missing"},
    {"{# a", "1: a comment is not closed; \"#}\" is missing"},
    {"{% raw %} a", "1: a raw block is not closed; \"{% endraw %}\" is missing"},
    {"{{ \"abc }}", "1: a string is not closed"},
    {"{{ a ] }}", "1: unexpected ']'"},
    {"{{ a ? b }}", "1: unexpected character '?' in a tag"},
    {"{{ 1 2 }}", "1: expected '}}', found '2'"},
    {"{{ a. }}", "1: expected a name, found '}}'"},
    {"{{ }}", "1: expected an expression, found '}}'"},
    {"{% if %}x{% endif %}", "1: expected an expression, found '%}'"},
    {"{% for x l %}{% endfor %}", "1: expected 'in', found 'l'"},
    {"{% set %}", "1: expected a name, found '%}'"},
    {"{{ f(a=1, 2) }}", "1: a positional argument follows a named one"},
    {"{{ l[] }}", "1: a subscript is empty"},
    {"{{ l[1:2:3:4] }}", "1: a slice has at most two ':'"},
    {"{{ 99999999999999999999 }}", "1: the number 99999999999999999999 is out of range"},
    {"{% call 5 %}{% endcall %}", "1: a call block needs a call"},
    {"\xFF", "0: the template is not UTF-8 at byte 0"},
};
TEST(JinjaErrors, NameTheLineOfWrongSyntax) {
  expect_cases(kSyntaxErrors);
}

constexpr Case kUseErrors[] = {
    {"a\n{{ missing.attr }}", "2: 'missing' is undefined"},
    {"{{ m.missing.deeper }}", "1: 'missing' is undefined"},
    {"{{ missing + 1 }}", "1: 'missing' is undefined"},
    {"{{ missing() }}", "1: 'missing' is undefined"},
    {"{{ missing < 1 }}", "1: 'missing' is undefined"},
    {"{{ missing[0] }}", "1: 'missing' is undefined"},
    {"{{ s.nomethod() }}", "1: 'nomethod' is undefined"},
    {"{{ l.append(1) }}", "1: 'append' is undefined"},
    {"{{ m.update({}) }}", "1: 'update' is undefined"},
    {"{{ ''.__class__.__mro__ }}", "1: '__class__' is undefined"},
    {"{{ a() }}", "1: a value of type int cannot be called"},
    {"{{ 1 + \"a\" }}", "1: '+' does not work for int and str"},
    {"{{ [] + (1,) }}", "1: '+' does not work for list and tuple"},
    {"{{ -s }}", "1: '-' does not work for str"},
    {"{{ 1 / 0 }}", "1: division by zero"},
    {"{{ 1.5 // 0 }}", "1: division by zero"},
    {"{{ 5 % 0 }}", "1: division by zero"},
    {"{{ 1 < \"a\" }}", "1: int and str have no order"},
    {"{{ \"x\" in 5 }}", "1: a value of type int holds no items"},
    {"{{ 5 in \"x\" }}", "1: 'in <str>' needs a str, not int"},
    {"{% for x in 5 %}{% endfor %}", "1: a value of type int holds no items"},
    {"{{ none | length }}", "1: a value of type None holds no items"},
    {"{{ 5[1:] }}", "1: a value of type int cannot be sliced"},
    {"{{ l[::0] }}", "1: a slice's step is zero"},
    {"{{ a | nofilter }}", "1: there is no filter named 'nofilter'"},
    {"{{ a is notest }}", "1: there is no test named 'notest'"},
    {"{{ m | tojson(bad=1) }}", "1: tojson takes no argument named 'bad'"},
    {"{{ missing | tojson }}", "1: a value of type undefined cannot be written as JSON"},
    {"{{ l | join(1, 2, 3) }}", "1: join takes at most 2 arguments"},
    {"{{ s.replace('a') }}", "1: replace lacks the argument 'new'"},
    {"{{ s.split('') }}", "1: the separator is empty"},
    {"{{ '%s %s' % 'a' }}", "1: not enough arguments for the format string"},
    {"{{ '%s' % (1, 2) }}", "1: not all arguments of the format string are used"},
    {"{{ '%x' % 1 }}", "1: the format %x is not supported"},
    {"{{ 'a'.join([1]) }}", "1: join needs a str, not int"},
    {"{{ '{}'.format(1) }}", "1: str.format is not supported; use ~ to join texts"},
    {"{% set l.x = 1 %}", "1: 'l' is not a namespace; only those have attributes to set"},
    {"{% set a, b = [1] %}", "1: cannot unpack 1 values into 2 names"},
    {"{{ {[1]: 2} }}", "1: a value of type list cannot be a key"},
    {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "1: the macro 'f' takes at most 1 arguments"},
    {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "1: the macro 'f' takes no argument named 'b'"},
    {"{% call a() %}{% endcall %}", "1: a call block needs a macro"},
    {"{{ raise_exception('no ' ~ 'tools') }}",
     "1: the chat template refuses these messages: no tools"},
};
TEST(JinjaErrors, SayWhatIsUsedWrongly) {
  expect_cases(kUseErrors);
}

constexpr Case kLimits[] = {
    {"{{ range(100001) }}", "1: range gives more than 100,000 numbers"},
    {"{{ 9223372036854775807 + 1 }}", "1: an integer does not fit in 64 bits"},
    {"{{ 2 ** 64 }}", "1: an integer does not fit in 64 bits"},
    {"{{ (-9223372036854775807 - 1) // -1 }}", "1: an integer does not fit in 64 bits"},
    {"{{ 'ab' * 9223372036854775807 }}", "1: the template makes too much data"},
    {"{{ [0] * 4000000000 }}", "1: the template makes too much data"},
    {"{{ 'x'.zfill(9000000000) }}", "1: the template writes too much text"},
    {"{{ 'x' | indent(9000000000, true) }}", "1: the template writes too much text"},
    {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "1: the template nests too deeply"},
    {"{% set ns = namespace(x='ab') %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% "
     "endfor %}",
     "1: the template makes too much data"},
    {"{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor "
     "%}",
     "1: the template makes too much data"},
    {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
     "1: the template makes too much data"},
    {"{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
     "1: the template nests values too deeply"},
    {"{% set ns = namespace(x={}) %}{% for i in range(999) %}{% set ns.x = {1: ns.x} %}{% endfor "
     "%}",
     "1: the template nests values too deeply"},
    // 2 to the 60th parts, though only 60 lists exist.
    {"{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% "
     "endfor %}"
     "{{ ns.x }}",
     "1: the template writes too much text"},
    {"{% set a = namespace(x=[1]) %}{% set b = namespace(x=[1]) %}{% for i in range(60) %}"
     "{% set a.x = [a.x, a.x] %}{% set b.x = [b.x, b.x] %}{% endfor %}{{ a.x == b.x }}",
     "1: the template takes too many steps"},
};
TEST(JinjaLimits, StopHostileTemplates) {
  expect_cases(kLimits);
}

TEST(JinjaLimits, RepeatNothingAtOnce) {
  EXPECT_EQ(render_or_message("{{ '' * 9000000000000000000 }}{{ [] * 9000000000000000000 }}"),
            "[]");
}

TEST(JinjaLimits, StopSourceThatNestsTooDeeply) {
  const std::string deep = "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}";
  EXPECT_EQ(render_or_message(deep), "1: the template nests too deeply");
  const std::string lists = "{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}";
  EXPECT_EQ(render_or_message(lists), "1: the template nests too deeply");
  std::string negations = "{{ ";
  for (int i = 0; i < 5000; ++i) negations += "not ";
  EXPECT_EQ(render_or_message(negations + "1 }}"), "1: the template nests too deeply");
  std::string sum = "{{ 1";
  for (int i = 0; i < 5000; ++i) sum += "+1";
  EXPECT_EQ(render_or_message(sum + " }}"), "1: the expression is too long");
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  EXPECT_EQ(render_or_message(blocks), "1: the template nests too deeply");
  std::string dots = "{{ a";
  for (int i = 0; i < 5000; ++i) dots += ".b";
  EXPECT_EQ(render_or_message(dots + " }}"), "1: the expression is too long");
}

TEST(JinjaLimits, AreSetByTheCaller) {
  jinja::Limits limits;
  limits.max_steps = 1000;
  EXPECT_EQ(render_or_message("{% for x in range(2000) %}{% endfor %}", limits),
            "1: the template takes too many steps");
  limits = {};
  limits.max_output_bytes = 10;
  EXPECT_EQ(render_or_message("{% for x in l %}\nabcd{% endfor %}", limits),
            "2: the template writes too much text");
  EXPECT_EQ(render_or_message("0123456789", limits), "0123456789");
}

TEST(JinjaLimits, ForgetNamespacesThatHoldEachOther) {
  EXPECT_EQ(render_or_message("{% set a = namespace() %}{% set a.a = [a] %}"
                              "{% macro m() %}{% endmacro %}{% set a.m = m %}{{ a.a | length }}"),
            "1");
}

TEST(JinjaDate, CountsDaysAndHours) {
  using jinja::format_date;
  EXPECT_EQ(format_date("%Y-%m-%d %j %A", {2024, 12, 31}), "2024-12-31 366 Tuesday");
  EXPECT_EQ(format_date("%a %e %b %y", {2023, 3, 1}), "Wed  1 Mar 23");
  EXPECT_EQ(format_date("%I:%M %p", {2023, 3, 1, 0, 5}), "12:05 AM");
  EXPECT_EQ(format_date("%I:%M %p", {2023, 3, 1, 13, 5}), "01:05 PM");
  EXPECT_EQ(format_date("%F %T %w", {1970, 1, 1, 1, 2, 3}), "1970-01-01 01:02:03 4");
  EXPECT_EQ(format_date("%-d/%-m %% %Q %", {2024, 7, 5}), "5/7 % %Q %");
}

}  // namespace
}  // namespace dlm
