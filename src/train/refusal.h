// What would be refused, said before it is tried.
#pragma once

#include <string>

#include "support/error.h"

namespace dlm {

struct Refusal {
  // Of the base: "absent", "incomplete", "unknown", "media", "licence", "gated", "base", "probe"; of
  // the document: "document", "empty", "media", "setting"; of the machine: "memory", "disk".
  std::string kind;
  std::string message;
  std::string hint;
  Place place;
};

inline Refusal refusal_of(std::string kind, const Error& error) {
  return {std::move(kind), error.message(), error.hint(), error.place()};
}

}  // namespace dlm
