// Runs a parsed template. It is sealed: a template sees the values given to it and a fixed date,
// and is stopped when it takes too many steps, too much memory or too much depth.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/meter.h"
#include "text/jinja/value.h"

namespace dlm::jinja {

struct DateTime {
  int year;
  int month;  // 1 to 12
  int day;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

struct Span {
  size_t begin;  // bytes of the text
  size_t end;
  friend bool operator==(const Span&, const Span&) = default;
};

struct Rendering {
  std::string text;
  std::vector<Span> generations;  // what {% generation %} blocks wrote, in order
};

// Throws Error(kFormat) with the line of the template.
Rendering render(const Template& source, std::vector<std::pair<std::string, Value>> globals,
                 const DateTime& now, const Limits& limits = {});

// C's strftime in English; unknown letters stay as they are.
std::string format_date(std::string_view format, const DateTime& date);

}  // namespace dlm::jinja
