// What people see: messages on standard error, data on standard output.
#pragma once

#include <string>
#include <string_view>

#include "support/error.h"

namespace dlm {

// A line on standard error.
void say(std::string_view line);
// "warning: ..." on standard error, yellow on a terminal.
void warn(std::string_view message);
// Text on standard output as it is. Throws Error(kIo) when the reader is gone or the disk is full.
void write_out(std::string_view text);

// Prints "PREFIX: place: message" and the hint, and returns the exit code: 2 for wrong use, 130 for
// an interrupt, else 1. `command` is the prefix where the kind of the error has none of its own.
int report(const Error& error, std::string_view command);
// The same with a prefix of its own; the exit code is 1.
int report_as(const Error& error, std::string_view prefix);

}  // namespace dlm
