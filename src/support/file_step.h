// One step on a file or folder, for the files of this room that change the disk: asks the fault of
// tests first, tries again after a signal, and turns errno into an Error.
#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <string>

#include "support/file.h"
#include "support/file_faults.h"

namespace dlm {

// Throws Error(kIo) "cannot ACTION: why", with a hint.
[[noreturn]] void throw_io(const std::string& action, const fs::path& path, int code);

// Runs a step after asking the fault. `call` returns a negative number and sets errno on failure.
template <typename Call>
auto step(FileStep kind, const std::string& action, const fs::path& path, Call call) {
  if (const int fault = ask_file_fault(kind, path)) throw_io(action, path, fault);
  while (true) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) throw_io(action, path, errno);
  }
}

// All of them, in pieces that let a full disk show early.
void write_all(int descriptor, const fs::path& path, std::span<const std::byte> bytes);
// Between the name of a file and the process and chance that make a temporary one of it.
inline constexpr std::string_view kTemporaryMark = ".tmp.";
inline constexpr int kSuffixDigits = 8;
std::string random_suffix();

}  // namespace dlm
