// Brings one file of a repository into the cache: under a lock that other programs honour, going on
// where an earlier attempt ended, and under its name only once its bytes have the announced digest.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "bases/hub_cache.h"
#include "bases/hub_client.h"

namespace dlm {

struct BlobEvents {
  std::function<void(int64_t)> on_bytes;  // that many more are there; fewer when it is negative
  std::function<void()> check_stopped;    // throws to stop waiting for another program
};

// Throws Error(kNetwork) for bytes that are not those announced, Error(kIo), and as
// HubClient::fetch(). A blob that is there already is left as it is.
void fetch_blob(HubClient& client, const HubName& name, const std::string& commit,
                const HubFile& file, const HubCache& cache, const BlobEvents& events);

// SHA-256 of a file's bytes, or git's name for them, whichever `digest` has the length of.
std::string blob_digest(const fs::path& path, std::string_view digest);

}  // namespace dlm
