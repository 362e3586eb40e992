#include "support/shared_text.h"

#include <functional>
#include <limits>

#include "support/error.h"

namespace dlm {

SharedText::SharedText(std::string text) {
  check(text.size() <= std::numeric_limits<uint32_t>::max(), "a text of more than 4 GiB");
  if (text.empty()) return;
  size_ = static_cast<uint32_t>(text.size());
  whole_ = std::make_shared<const std::string>(std::move(text));
}

SharedText SharedText::part(std::string_view piece) const {
  if (piece.empty()) return {};
  const std::string_view all = view();
  const std::less_equal<const char*> before;
  check(before(all.data(), piece.data()) &&
            before(piece.data() + piece.size(), all.data() + all.size()),
        "a piece that is no part of its text");
  SharedText part = *this;
  part.begin_ += static_cast<uint32_t>(piece.data() - all.data());
  part.size_ = static_cast<uint32_t>(piece.size());
  return part;
}

}  // namespace dlm
