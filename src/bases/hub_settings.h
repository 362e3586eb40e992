// Where the model hub is and where its files are kept on this machine, from the environment
// variables that Hugging Face's own programs read, so that all of them share one cache.
#pragma once

#include <functional>
#include <string>

#include "support/file.h"

namespace dlm {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // $HF_ENDPOINT, without a slash at its end
  fs::path cache;     // $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, …; may be empty
  std::string token;  // a secret: for the endpoint's own host only, and never to be shown
  bool is_offline = false;  // $HF_HUB_OFFLINE, $TRANSFORMERS_OFFLINE
  std::string ca_file;      // $SSL_CERT_FILE: certificates to trust instead of the system's

  // `variable` gives an environment variable's value or null. Reads the token's file, too. Throws
  // Error(kUsage) for a token that is no word.
  static HubSettings from(const std::function<const char*(const char*)>& variable);
  static HubSettings of_process();
};

// The folder of the cache alone: no other file is read.
fs::path hub_cache_folder(const std::function<const char*(const char*)>& variable);

}  // namespace dlm
