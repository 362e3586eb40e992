// Expressions of templates: literal templates and the text that Jinja gives for them.
#include <gtest/gtest.h>

#include "text/jinja_cases.h"

namespace dlm {
namespace {

constexpr Case kArithmetic[] = {
    {"{{ a + 1 }}", "4"},
    {"{{ a - 5 }}", "-2"},
    {"{{ a * b }}", "7.5"},
    {"{{ a / 2 }}", "1.5"},
    {"{{ a // 2 }}", "1"},
    {"{{ -a // 2 }}", "-2"},
    {"{{ a % 2 }}", "1"},
    {"{{ -a % 2 }}", "1"},
    {"{{ a ** 3 }}", "27"},
    {"{{ 2 ** -1 }}", "0.5"},
    {"{{ 7 // -2 }}", "-4"},
    {"{{ 7 % -2 }}", "-1"},
    {"{{ -7.5 // 2 }}", "-4.0"},
    {"{{ -7.5 % 2 }}", "0.5"},
    {"{{ 'a' * 3 }}", "aaa"},
    {"{{ 3 * 'ab' }}", "ababab"},
    {"{{ [1] * 2 }}", "[1, 1]"},
    {"{{ [1] + [2] }}", "[1, 2]"},
    {"{{ (1,2) + (3,) }}", "(1, 2, 3)"},
    {"{{ \"%s%%\" % 5 }}", "5%"},
    {"{{ \"%s %s\" % (\"a\", 1) }}", "a 1"},
    {"{{ 2 + 3 * 4 ** 2 / 8 - 1 }}", "7.0"},
    {"{{- \"a\" }}", "a"},
};

TEST(JinjaExpression, CalculatesAsPythonDoes) {
  expect_cases(kArithmetic);
}

constexpr Case kComparisons[] = {
    {"{{ 1 < 2 < 3 }}", "True"},
    {"{{ 1 < 2 > 3 }}", "False"},
    {"{{ 1 == 1.0 }}", "True"},
    {"{{ true == 1 }}", "True"},
    {"{{ \"a\" == 1 }}", "False"},
    {"{{ \"a\" < \"b\" }}", "True"},
    {"{{ [1,2] < [1,3] }}", "True"},
    {"{{ [1] == [1.0] }}", "True"},
    {"{{ (1,) == [1] }}", "False"},
    {"{{ a in l }}", "True"},
    {"{{ 9 not in l }}", "True"},
    {"{{ \"ell\" in s }}", "True"},
    {"{{ \"x\" in m }}", "True"},
    {"{{ \"zz\" in missing }}", "False"},
    {"{{ \"yes\" if a > 2 else \"no\" }}", "yes"},
    {"{{ \"yes\" if a > 5 }}", ""},
    {"{{ not a == 3 }}", "False"},
    {"{{ ms[0][\"role\"] == \"user\" }}", "True"},
    {"{{ missing == missing2 }}", "True"},
    {"{{ missing == none }}", "False"},
    {"{{ \"é\" < \"z\" }}", "False"},
    {"{{ \"Z\" < \"a\" }}", "True"},
    {"{{ \"abc\" > \"abd\" }}", "False"},
    {"{{ [] < [1] }}", "True"},
    {"{{ 1 < 1.5 }}", "True"},
    {"{{ true < 2 }}", "True"},
    {"{{ 2 >= 2 }}", "True"},
    {"{{ 2 != 3 }}", "True"},
};

TEST(JinjaExpression, ComparesAsPythonDoes) {
  expect_cases(kComparisons);
}

constexpr Case kLogic[] = {
    {"{{ not a }}", "False"},
    {"{{ not not e }}", "False"},
    {"{{ a and s }}", "Hello World"},
    {"{{ e or \"d\" }}", "d"},
    {"{{ n or false or 0 }}", "0"},
    {"{{ t and f }}", "False"},
    {"{{ 1 if f else 2 if f else 3 }}", "3"},
    {"{{ f() if false else \"ok\" }}", "ok"},
    {"{{ \"{}\".format(1) if false else \"\" }}", ""},
};

TEST(JinjaExpression, ChoosesValues) {
  expect_cases(kLogic);
}

constexpr Case kJoining[] = {
    {"{{ s ~ a ~ n ~ t ~ b ~ missing }}", "Hello World3NoneTrue2.5"},
    {"{{ true ~ \"\" }}", "True"},
    {"{{ [true, none, 1.0] ~ \"\" }}", "[True, None, 1.0]"},
};

TEST(JinjaExpression, JoinsValuesAsText) {
  expect_cases(kJoining);
}

constexpr Case kAccess[] = {
    {"{{ 1.0 }}", "1.0"},
    {"{{ 0.1 + 0.2 }}", "0.30000000000000004"},
    {"{{ 123456789.125 }}", "123456789.125"},
    {"{{ l[0] }}", "1"},
    {"{{ l[-1] }}", "4"},
    {"{{ l[9] }}", ""},
    {"{{ l[1:3] }}", "[2, 3]"},
    {"{{ l[::-1] }}", "[4, 3, 2, 1]"},
    {"{{ l[:2] }}", "[1, 2]"},
    {"{{ l[-2:] }}", "[3, 4]"},
    {"{{ l[::2] }}", "[1, 3]"},
    {"{{ l[5:] }}", "[]"},
    {"{{ l[3:0:-1] }}", "[4, 3, 2]"},
    {"{{ s[0] }}", "H"},
    {"{{ s[-1] }}", "d"},
    {"{{ u[4:8] }}", "e 你好"},
    {"{{ u[::-1] }}", "好你 eßörG"},
    {"{{ l[:none] }}", "[1, 2, 3, 4]"},
    {"{{ m.x }}", "1"},
    {"{{ m[\"x\"] }}", "1"},
    {"{{ m.missing }}", ""},
    {"{{ m[\"k y\"][1].z }}", "w"},
    {"{{ m[\"k y\"].0 }}", "1"},
    {"{{ m[\"items\"] }}", "I"},
    {"{{ m.get(\"q\") }}", "None"},
    {"{{ m.get(\"q\", 5) }}", "5"},
    {"{{ m.get(\"x\") }}", "1"},
    {"{{ {\"a\": 1.5, 2: none} }}", "{'a': 1.5, 2: None}"},
    {"{{ 1.5e3 }}", "1500.0"},
    {"{{ ms[-1].role }}", "user"},
    {"{{ n.foo }}", ""},
    {"{{ s.foo }}", ""},
    {"{{ l.foo }}", ""},
    {"{{ a.foo }}", ""},
    {"{{ ''.__class__ }}", ""},
    {"{{ m.__class__ }}", ""},
    {"{{ m._x }}", ""},
};

TEST(JinjaExpression, ReadsAttributesItemsAndSlices) {
  expect_cases(kAccess);
}

constexpr Case kPrinting[] = {
    {"{{ 1e16 }}", "1e+16"},
    {"{{ 1e-5 }}", "1e-05"},
    {"{{ 1e15 }}", "1000000000000000.0"},
    {"{{ 5e-324 }}", "5e-324"},
    {"{{ none }}", "None"},
    {"{{ True }}", "True"},
    {"{{ missing }}", ""},
    {"{{ \"x\" \"y\" 'z' }}", "xyz"},
    {"{{ m }}", "{'x': 1, 'items': 'I', 'k y': [1, {'z': 'w'}]}"},
    {"{{ l }}", "[1, 2, 3, 4]"},
    {"{{ (1,) }}", "(1,)"},
    {"{{ () }}", "()"},
    {"{{ {} }}", "{}"},
    {"{{ [] }}", "[]"},
    {"{{ [n, t, \"it's\", 'q\"q', \"both'\\\"\"] }}",
     "[None, True, \"it's\", 'q\"q', 'both\\'\"']"},
    {"{{ [u] }}", "['Größe 你好']"},
    {"{{ [\"\\x00\\x7f\\u200b\\n\"] }}", "['\\x00\\x7f\\u200b\\n']"},
    {"{{ 'a\\nb\\t\\x41\\u00e9\\\\ \\' \\\" \\z' }}", "a\nb\tAé\\ ' \" \\z"},
    {"{{ \"\\u4f60\\U0001F600\" }}", "你😀"},
    {"{{ '\\101' }}", "A"},
    {"{{ 1_000 }}", "1000"},
    {"{{ [1, 2, 3,] }}", "[1, 2, 3]"},
    {"{{ {\"a\": 1,} }}", "{'a': 1}"},
    {"{{ \"b\" }}", "b"},
    {"{{ x }}", ""},
};

TEST(JinjaExpression, PrintsValuesAsPythonDoes) {
  expect_cases(kPrinting);
}

constexpr Case kFunctions[] = {
    {"{{ dict(a=1) }}", "{'a': 1}"},
    {"{{ strftime_now(\"%d %b %Y %H:%M:%S %A %B %j %y %I %p %%\") }}",
     "26 Jul 2024 15:04:05 Friday July 208 24 03 PM %"},
    {"{{ strftime_now(\"%-d %a %e\") }}", "26 Fri 26"},
};

TEST(JinjaExpression, CallsFunctions) {
  expect_cases(kFunctions);
}

}  // namespace
}  // namespace dlm
