// Runs something that must throw dlm::Error and keeps what it said.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "support/error.h"

namespace dlm {

struct Refusal {
  ErrorKind kind = ErrorKind::kInternal;
  std::string what;  // "place: message"
  std::string hint;
};

template <typename Action>
Refusal refuse(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.kind(), error.what(), error.hint()};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace dlm
