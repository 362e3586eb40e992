#include "bases/hub_client.h"

#include <charconv>

#include "support/error.h"
#include "support/git_hash.h"
#include "support/text.h"
#include "support/version.h"

namespace dlm {
namespace {

HttpOptions http_options(const HubOptions& options) {
  HttpOptions http;
  http.limits = options.limits;
  http.user_agent = std::string("dlm/") + kVersion;
  http.bearer_token = options.settings.token;
  http.bearer_origin = options.settings.endpoint;
  http.ca_file = options.settings.ca_file;
  http.should_stop = options.should_stop;
  http.wait = options.wait;
  return http;
}

// A revision may have slashes, which part nothing here.
std::string escape_revision(std::string_view revision) {
  std::string text = escape_path(revision);
  for (size_t at; (at = text.find('/')) != text.npos;) text.replace(at, 1, "%2F");
  return text;
}

// Without quotes and the mark of a weak one.
std::string plain_tag(std::string_view tag) {
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') {
    tag = tag.substr(1, tag.size() - 2);
  }
  return std::string(tag);
}

bool is_digest(std::string_view text) {
  return is_hex(text, 40) || is_hex(text, 64);
}

}  // namespace

HubClient::HubClient(const HubOptions& options)
    : settings_(options.settings), http_(http_options(options)) {}

HubListing HubClient::list(const HubName& name) {
  const std::string revision = name.revision.empty() ? kDefaultRevision : name.revision;
  const std::string url = settings_.endpoint + "/api/models/" + name.repository + "/revision/" +
                          escape_revision(revision) + "?blobs=true";
  const HttpResponse response = http_.get(url);
  if (response.status != 200) fail(response, name, "");
  HubListing listing = parse_hub_listing(response.body, response.url.shown());
  if (is_commit(revision) && listing.commit != revision) {
    throw Error(ErrorKind::kNetwork,
                response.url.shown() + " answers for commit " + listing.commit +
                    " when asked for " + revision,
                "do not trust this hub or mirror");
  }
  return listing;
}

void HubClient::describe(const HubName& name, const std::string& commit, HubFile& file) {
  const HttpResponse response = http_.head(file_url(name, commit, file.name));
  // Where the headers before a redirect say it, what its target thinks of HEAD does not matter.
  const bool is_linked = !response.first_header("x-linked-etag").empty() &&
                         !response.first_header("x-linked-size").empty();
  if (response.status != 200 && !is_linked) fail(response, name, file.name);
  const auto either = [&](std::string_view linked, std::string_view plain) {
    const std::string_view first = response.first_header(linked);
    return first.empty() ? response.header(plain) : first;
  };
  const std::string digest = plain_tag(either("x-linked-etag", "etag"));
  const std::string_view size = either("x-linked-size", "content-length");
  uint64_t bytes = 0;
  const auto [end, problem] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (!is_digest(digest) || size.empty() || problem != std::errc() ||
      end != size.data() + size.size()) {
    throw Error(ErrorKind::kNetwork,
                response.url.shown() + " says neither in its list nor here what " + file.name +
                    " holds, so it could not be checked",
                "take another mirror, or the hub itself");
  }
  file.size = bytes;
  file.digest = digest;
}

void HubClient::fetch(const HubName& name, const std::string& commit, const HubFile& file,
                      HttpTarget& target) {
  if (target.size() == file.size) return;
  const HttpResponse response = http_.fetch(file_url(name, commit, file.name), target, file.size);
  if (response.status != 200 && response.status != 206) fail(response, name, file.name);
  if (const auto found = response.first_header("x-repo-commit");
      !found.empty() && found != commit) {
    throw Error(ErrorKind::kNetwork,
                settings_.endpoint + " sends " + file.name + " of commit " + std::string(found) +
                    " when asked for " + commit,
                "do not trust this hub or mirror");
  }
}

std::string HubClient::file_url(const HubName& name, const std::string& commit,
                                std::string_view file) const {
  return settings_.endpoint + "/" + name.repository + "/resolve/" + commit + "/" +
         escape_path(file);
}

void HubClient::fail(const HttpResponse& response, const HubName& name,
                     std::string_view what) const {
  if (!response.url.has_origin_of(parse_url(settings_.endpoint))) {
    throw Error(ErrorKind::kNetwork,
                response.url.shown() + " answers with status " + std::to_string(response.status),
                "the hub sent us there: try again later");
  }
  const std::string page = settings_.endpoint + "/" + name.repository;
  const std::string code(response.header("x-error-code"));
  const std::string shown = name.text() + (what.empty() ? "" : ": " + std::string(what));
  const std::string with_token =
      settings_.token.empty()
          ? "make a token at " + settings_.endpoint + "/settings/tokens and put it into HF_TOKEN"
          : "the token in use has no access: check HF_TOKEN and its rights";
  if (code == "GatedRepo" || (response.status == 403 && code.empty())) {
    throw Error(ErrorKind::kLicense,
                shown + " is gated: its publisher gives it to those only who accept its licence",
                "log in and accept at " + page + ", then " + with_token);
  }
  if (response.status == 401 || response.status == 403) {
    throw Error(ErrorKind::kBase, shown + " is private, gated, or not there",
                "check the name at " + page + "; for a private or gated one " + with_token);
  }
  if (response.status == 404) {
    if (code == "RevisionNotFound") {
      throw Error(ErrorKind::kBase, shown + " has no such revision",
                  "see its branches and tags at " + page + "/tree/main");
    }
    throw Error(ErrorKind::kBase, shown + " is not on " + settings_.endpoint,
                "check the name; a private one needs HF_TOKEN");
  }
  if (response.status == 429) {
    throw Error(ErrorKind::kNetwork, settings_.endpoint + " asks for fewer requests",
                "try again later; a token in HF_TOKEN raises the limit");
  }
  throw Error(ErrorKind::kNetwork,
              response.url.shown() + " answers with status " + std::to_string(response.status),
              is_temporary(response.status) ? "the hub is in trouble: try again later"
                                            : "is HF_ENDPOINT the address of a model hub?");
}

}  // namespace dlm
