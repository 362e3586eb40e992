// Fetches a base from its hub into the cache: first what it will cost, then, when that is agreed
// to, its files, several at a time. What is there already is not fetched again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bases/hub_client.h"

namespace dlm {

struct PullPlan {
  std::string base;  // as it was asked for: a key, or hf:org/name
  HubName name;
  std::string commit;
  std::string endpoint;
  std::string license;       // of the registry, or as the model's page has it; may be empty
  fs::path folder;           // where the base will lie
  bool is_complete = false;  // all of it is there: no request was made, and none is needed
  BaseFiles files;
  uint64_t total_bytes = 0;
  uint64_t missing_bytes = 0;  // to fetch
};

// Asks the hub, unless the base is there. Throws Error(kBase) for a base that is not known or
// cannot be used here, Error(kLicense) for one that its publisher withholds, Error(kNetwork) when
// the hub cannot be asked, and Error(kIo) when the disk has no room for it.
PullPlan plan_pull(std::string_view base, const HubOptions& options);

struct PullEvents {
  // In bytes, of all files together; from one thread at a time.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
};

// What was fetched stays when this throws, and the next call goes on with it. The weights are
// fetched last, once it is known that this program can run the model.
void run_pull(const PullPlan& plan, const HubOptions& options, const PullEvents& events);

}  // namespace dlm
