// A text that is held once, however many know parts of it: a document's file, its sections and its
// rows are the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

namespace dlm {

// Immutable and cheap to copy; keeps alive what it is a part of. At most 4 GiB.
class SharedText {
 public:
  SharedText() = default;
  // Throws Error(kInternal) for more than 4 GiB.
  SharedText(std::string text);
  SharedText(std::string_view text) : SharedText(std::string(text)) {}
  SharedText(const char* text) : SharedText(std::string(text)) {}

  // `piece` lies within this text.
  SharedText part(std::string_view piece) const;

  std::string_view view() const {
    return whole_ ? std::string_view(*whole_).substr(begin_, size_) : std::string_view();
  }
  operator std::string_view() const { return view(); }
  std::string str() const { return std::string(view()); }
  size_t size() const { return whole_ ? size_ : 0; }
  bool empty() const { return size() == 0; }

  friend bool operator==(const SharedText& a, const SharedText& b) { return a.view() == b.view(); }
  friend bool operator==(const SharedText& a, std::string_view b) { return a.view() == b; }
  friend bool operator==(const SharedText& a, const std::string& b) { return a.view() == b; }
  friend bool operator==(const SharedText& a, const char* b) { return a.view() == b; }
  friend std::ostream& operator<<(std::ostream& out, const SharedText& text) {
    return out << text.view();
  }

 private:
  std::shared_ptr<const std::string> whole_;
  uint32_t begin_ = 0;
  uint32_t size_ = 0;
};

}  // namespace dlm
