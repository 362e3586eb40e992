// libcurl as a table of its functions, opened by the first request of the process. Only this room
// sees curl's header, and nothing links the library.
#pragma once

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

namespace dlm {

struct CurlLibrary {
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_url) url;
  decltype(&::curl_url_set) url_set;
  decltype(&::curl_url_get) url_get;
  decltype(&::curl_url_cleanup) url_cleanup;
  decltype(&::curl_getdate) getdate;
  decltype(&::curl_free) free;
};

// Of this process, from any thread. Throws Error(kNetwork) that names the package to install.
const CurlLibrary& curl_library();

}  // namespace dlm
