#include "cli/console.h"

#include <cstdio>

#include "support/progress.h"

namespace dlm {

namespace {

const char* prefix_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kParse:
    case ErrorKind::kEncoding:
      return "parse";
    case ErrorKind::kStore:
    case ErrorKind::kLocked:
      return "store";
    case ErrorKind::kBase:
      return "base_model";
    case ErrorKind::kLicense:
      return "license";
    case ErrorKind::kTrain:
      return "train";
    case ErrorKind::kResume:
      return "resume";
    case ErrorKind::kInference:
      return "inference";
    case ErrorKind::kExport:
      return "export";
    default:
      return nullptr;
  }
}

// For errors that come without one.
std::string usual_hint(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kParse:
      return "correct the document at this place; docs/format.md says what may stand there";
    case ErrorKind::kIo:
      return "check the path and its permissions";
    case ErrorKind::kFormat:
      return "the file is damaged or of another kind: copy it again from where it came";
    default:
      return {};
  }
}

// One line, whatever a file or an argument made part of a message: line ends and other control
// characters, which a terminal would obey, become blanks.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

void print_line(const char* colour, std::string_view head, std::string_view text) {
  const bool coloured = progress_target(stderr).has_colour;
  std::string line;
  if (coloured) line += colour;
  line += one_line(head);
  if (coloured) line += "\033[0m";
  line += one_line(text);
  line += "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void say(std::string_view line) {
  print_line("", "", line);
}

void warn(std::string_view message) {
  print_line("\033[33m", "warning: ", message);
}

void write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorKind::kIo, "cannot write to standard output",
                "is the disk full, or the pipe closed?");
  }
}

int report(const Error& error, std::string_view command) {
  if (error.kind() == ErrorKind::kInterrupted) {
    print_line("\033[31m", "interrupted", "");
    if (!error.hint().empty()) print_line("\033[2m", "hint: ", error.hint());
    return 130;
  }
  const char* prefix = prefix_of(error.kind());
  report_as(error, prefix != nullptr ? prefix : command);
  return error.kind() == ErrorKind::kUsage ? 2 : 1;
}

int report_as(const Error& error, std::string_view prefix) {
  print_line("\033[31m", std::string(prefix) + ": ", error.what());
  const std::string hint = error.hint().empty() ? usual_hint(error.kind()) : error.hint();
  if (!hint.empty()) print_line("\033[2m", "hint: ", hint);
  return 1;
}

}  // namespace dlm
