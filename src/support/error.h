// The one exception type of dlm. It says what is wrong, where, and what to do next; which prefix and
// exit code a person sees is decided by the edges (cli/), from the kind.
#pragma once

#include <exception>
#include <string>

namespace dlm {

enum class ErrorKind {
  kUsage,      // wrong use of the program: exit code 2
  kParse,      // a document: frontmatter, schema, fences, section grammar
  kEncoding,   // bytes that are not UTF-8
  kIo,         // a file cannot be read or written; a full disk
  kFormat,     // a binary or JSON file breaks its format
  kStore,      // store layout, manifest, lock file
  kLocked,     // another process holds the store
  kBase,       // unknown base, missing or broken weights or tokenizer of a base
  kLicense,    // a gated base without acceptance
  kTrain,      // training cannot start or go on
  kResume,     // a run cannot go on from what was stored
  kInference,  // prompting cannot start or go on
  kExport,
  kNetwork,
  kInterrupted,  // Ctrl-C: exit code 130
  kInternal,     // an invariant of our own code does not hold
};

// A place in a file. Line and column count from 1; 0 means "not known".
struct Place {
  std::string path;
  int line = 0;
  int column = 0;

  // "path:line:column", leaving out what is not known; "" when the path is empty.
  std::string to_string() const;
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message, std::string hint = {}, Place place = {});

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }
  const Place& place() const { return place_; }

  // "place: message", without the hint.
  const char* what() const noexcept override { return what_.c_str(); }

  // The same error with another place; for rooms that know the path of what failed below them.
  Error at(Place place) const { return Error(kind_, message_, hint_, std::move(place)); }

 private:
  ErrorKind kind_;
  std::string message_;
  std::string hint_;
  Place place_;
  std::string what_;
};

// Throws Error(kInternal) when `condition` is false; stays on in release. For our own invariants,
// never for input.
void check(bool condition, const char* what);

}  // namespace dlm
