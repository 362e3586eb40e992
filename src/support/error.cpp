#include "support/error.h"

#include <utility>

namespace dlm {

std::string Place::to_string() const {
  std::string text = path;
  if (!text.empty() && line > 0) {
    text += ":" + std::to_string(line);
    if (column > 0) text += ":" + std::to_string(column);
  }
  return text;
}

Error::Error(ErrorKind kind, std::string message, std::string hint, Place place)
    : kind_(kind), message_(std::move(message)), hint_(std::move(hint)), place_(std::move(place)) {
  const std::string where = place_.to_string();
  what_ = where.empty() ? message_ : where + ": " + message_;
}

void check(bool condition, const char* what) {
  if (!condition) {
    throw Error(ErrorKind::kInternal, what, "this is a defect in dlm; please report it");
  }
}

}  // namespace dlm
