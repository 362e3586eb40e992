// The requests that a model hub answers: what a repository holds, and the bytes of its files. One
// client per thread. Its token goes to the hub's own origin only.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "bases/hub_listing.h"
#include "bases/hub_name.h"
#include "bases/hub_settings.h"
#include "net/http_client.h"

namespace dlm {

struct HubOptions {
  HubSettings settings;
  HttpLimits limits;
  std::function<bool()> should_stop;
  std::function<void(int64_t milliseconds)> wait;  // empty: sleeps
};

class HubClient {
 public:
  explicit HubClient(const HubOptions& options);

  // Of the name's revision, "main" where it has none. Files of a hub that names no sizes or digests
  // in its list are asked for one by one by describe(). Throws Error(kNetwork), and Error(kBase)
  // for a repository or revision that is not there or not given to us, with what to do.
  HubListing list(const HubName& name);
  // Fills in size and digest from the headers of the file itself.
  void describe(const HubName& name, const std::string& commit, HubFile& file);
  // Brings `target` to all bytes of the file. Their digest is not checked here.
  void fetch(const HubName& name, const std::string& commit, const HubFile& file,
             HttpTarget& target);

 private:
  std::string file_url(const HubName& name, const std::string& commit, std::string_view file) const;
  [[noreturn]] void fail(const HttpResponse& response, const HubName& name,
                         std::string_view what) const;

  HubSettings settings_;
  HttpClient http_;
};

}  // namespace dlm
