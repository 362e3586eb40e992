// A descriptor that is opened for reading, relative to an open folder, and closed at the end.
#pragma once

#include <cstddef>
#include <string>

namespace dlm {

class OpenFile {
 public:
  // Adds O_RDONLY, and what keeps devices and pipes from blocking. Not open on failure; errno then
  // says why.
  static OpenFile at(int folder, const char* name, int flags);
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

  // Appends all bytes up to the end. Returns false when there are more than max_bytes, or reading
  // fails, which sets errno.
  bool read(std::string& bytes, size_t max_bytes) const;

 private:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace dlm
