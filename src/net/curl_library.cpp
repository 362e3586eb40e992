#include "net/curl_library.h"

#include <dlfcn.h>

#include <string>

#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

[[noreturn]] void fail(const std::string& why) {
  throw Error(
      ErrorKind::kNetwork, std::string("cannot open ") + kLibrary + ": " + why,
      "downloading needs libcurl: install the package libcurl4 (Debian, Ubuntu) or libcurl");
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) fail(std::string("it has no ") + name);
}

CurlLibrary open() {
  void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = ::dlerror();
    fail(why == nullptr ? "unknown reason" : why);
  }
  CurlLibrary curl{};
  decltype(&::curl_global_init) global_init = nullptr;
  find(library, "curl_global_init", global_init);
  find(library, "curl_easy_init", curl.easy_init);
  find(library, "curl_easy_setopt", curl.easy_setopt);
  find(library, "curl_easy_perform", curl.easy_perform);
  find(library, "curl_easy_getinfo", curl.easy_getinfo);
  find(library, "curl_easy_reset", curl.easy_reset);
  find(library, "curl_easy_cleanup", curl.easy_cleanup);
  find(library, "curl_slist_append", curl.slist_append);
  find(library, "curl_slist_free_all", curl.slist_free_all);
  find(library, "curl_url", curl.url);
  find(library, "curl_url_set", curl.url_set);
  find(library, "curl_url_get", curl.url_get);
  find(library, "curl_url_cleanup", curl.url_cleanup);
  find(library, "curl_getdate", curl.getdate);
  find(library, "curl_free", curl.free);
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("it does not start");
  return curl;
}

}  // namespace

// Never closed: it may be in use by another thread while the process ends.
const CurlLibrary& curl_library() {
  static const CurlLibrary curl = open();
  return curl;
}

}  // namespace dlm
