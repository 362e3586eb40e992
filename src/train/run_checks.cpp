#include "train/run_checks.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "support/error.h"
#include "support/file.h"
#include "support/text.h"

namespace dlm {

void check_disk(const StoreLayout& store, int64_t adapter_parameters) {
  const uint64_t adapter = static_cast<uint64_t>(adapter_parameters) * 4;
  const uint64_t needed = 13 * adapter + (uint64_t{16} << 20);
  const uint64_t available = free_disk_bytes(store.root());
  if (available >= needed) return;
  throw Error(ErrorKind::kIo,
              fmt::format("a training run needs {:.1f} MB of disk, {:.1f} MB are free",
                          static_cast<double>(needed) / 1e6, static_cast<double>(available) / 1e6),
              "free some space, or put the store elsewhere with --home",
              {store.root().string(), 0, 0});
}

void check_finite(LoraAdapter& adapter) {
  std::vector<std::string> bad;
  for (Parameter* p : adapter.parameters()) {
    const float* x = p->trained_elements();
    if (!std::all_of(x, x + p->value.numel(), [](float v) { return std::isfinite(v); })) {
      bad.push_back(p->name);
    }
  }
  if (bad.empty()) return;
  const size_t num_bad = bad.size();
  constexpr size_t kShown = 20;
  if (num_bad > kShown) {
    bad.resize(kShown);
    bad.push_back("and " + std::to_string(num_bad - kShown) + " more");
  }
  throw Error(
      ErrorKind::kTrain,
      fmt::format("{} tensors of the trained adapter hold what is not a number ({}); nothing "
                  "was committed",
                  num_bad, join(bad, ", ")),
      "lower training.learning_rate, or write training.precision: fp32");
}

}  // namespace dlm
