#include "store/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "store/training_state.h"
#include "support/error.h"

namespace dlm {

namespace {

constexpr const char* kHashEnding = ".sha256";

fs::path hash_of(const fs::path& state) {
  return state.string() + kHashEnding;
}

// "000012.pt" → 12; none for other names.
std::optional<int64_t> number_of(const std::string& name) {
  int64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (parsed.ec != std::errc() || std::string_view(parsed.ptr) != ".pt") return std::nullopt;
  return number;
}

// Complete or not, in ascending order.
std::vector<int64_t> numbers_in(const fs::path& folder) {
  std::vector<int64_t> numbers;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (const auto number = number_of(entry.path().filename().string())) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

fs::path state_file(const fs::path& folder, int64_t number) {
  return folder / fmt::format("{:06}.pt", number);
}

std::optional<fs::path> newest_complete(const fs::path& folder) {
  const std::vector<int64_t> numbers = numbers_in(folder);
  for (auto n = numbers.rbegin(); n != numbers.rend(); ++n) {
    const fs::path file = state_file(folder, *n);
    if (path_exists(hash_of(file))) return file;
  }
  return std::nullopt;
}

}  // namespace

void write_checkpoint(const StoreLayout& store, std::string_view adapter, const TorchValue& state,
                      const StoreLock& lock) {
  check(lock.guards(store), "a checkpoint is written without its store's lock");
  const fs::path folder = store.checkpoint(adapter);
  make_folders(folder);
  const std::vector<int64_t> before = numbers_in(folder);
  const int64_t number = before.empty() ? 1 : before.back() + 1;
  const fs::path file = state_file(folder, number);
  write_state_files(file, hash_of(file), state);
  for (const int64_t old : before) {
    // The digest first: what has none is no checkpoint.
    remove_path(hash_of(state_file(folder, old)));
    remove_path(state_file(folder, old));
  }
}

std::optional<TorchValue> read_checkpoint(const StoreLayout& store, std::string_view adapter) {
  const auto file = newest_complete(store.checkpoint(adapter));
  if (!file) return std::nullopt;
  return read_state_files(*file, hash_of(*file));
}

bool has_checkpoint(const StoreLayout& store, std::string_view adapter) {
  return newest_complete(store.checkpoint(adapter)).has_value();
}

void remove_checkpoint(const StoreLayout& store, std::string_view adapter, const StoreLock& lock) {
  check(lock.guards(store), "a checkpoint is removed without its store's lock");
  remove_path(store.checkpoint(adapter));
}

}  // namespace dlm
