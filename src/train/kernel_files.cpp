#include "train/kernel_files.h"

#include <charconv>

#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

// Of a machine with a thousand threads /proc/cpuinfo has some MiB.
constexpr size_t kMaxBytes = size_t{16} << 20;

uint64_t number_of(std::string_view text) {
  uint64_t value = 0;
  const bool is_hex = text.starts_with("0x");
  if (is_hex) text.remove_prefix(2);
  std::from_chars(text.data(), text.data() + text.size(), value, is_hex ? 16 : 10);
  return value;
}

}  // namespace

std::string kernel_text(const fs::path& path) {
  if (!path_exists(path)) return {};
  try {
    return read_file(path, kMaxBytes);
  } catch (const Error&) {
    return {};
  }
}

uint64_t kernel_number(const fs::path& path) {
  return number_of(trim(kernel_text(path)));
}

uint64_t kernel_number(const fs::path& path, std::string_view key) {
  const std::string text = kernel_text(path);
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    const std::string_view rest = line.substr(key.size());
    // "inactive_file" is not the line of "inactive_file_x".
    if (key.ends_with(':') || rest.starts_with(' ')) return number_of(trim(rest));
  }
  return 0;
}

}  // namespace dlm
