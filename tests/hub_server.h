// A model hub on loopback: the part of Hugging Face's API that fetching a base needs, for
// repositories in memory. Large files are redirected to a second server, as to a CDN.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "http_server.h"
#include "support/git_hash.h"
#include "support/hash.h"

namespace dlm {

inline constexpr const char* kHubCommit = "0123456789abcdef0123456789abcdef01234567";

inline std::string git_blob_name(std::string_view bytes) {
  GitBlobHash hash(bytes.size());
  hash.update(std::as_bytes(std::span(bytes)));
  return hash.hex();
}

struct HubServerFile {
  std::string bytes;
  bool is_large = false;
  std::string sha256 = {};  // announced; of the bytes when empty
  int64_t size = -1;        // announced; of the bytes when negative
  std::string git_name = {};
};

class HubServer {
 public:
  using Files = std::map<std::string, HubServerFile>;
  // Called before each answer; what it gives back is answered instead.
  using Fault = std::function<std::optional<HttpServerReply>(const HttpServerRequest&)>;

  HubServer(std::string repository, Files files, std::string commit = kHubCommit)
      : repository_(std::move(repository)), commit_(std::move(commit)), files_(std::move(files)) {
    for (auto& [name, file] : files_) {
      file.git_name = git_blob_name(file.bytes);
      if (file.sha256.empty()) file.sha256 = sha256_hex(std::string_view(file.bytes));
    }
    cdn_ = std::make_unique<HttpServer>(
        [this](const HttpServerRequest& request) { return answer(request, true); });
    hub_ = std::make_unique<HttpServer>(
        [this](const HttpServerRequest& request) { return answer(request, false); });
  }

  std::string url() const { return hub_->url(); }
  HttpServer& hub() { return *hub_; }
  HttpServer& cdn() { return *cdn_; }
  const HubServerFile& file(const std::string& name) const { return files_.at(name); }

  Fault hub_fault;
  Fault cdn_fault;
  bool has_blobs = true;   // sizes and digests in the list
  std::string extra_json;  // more members of the list

 private:
  HttpServerReply answer(const HttpServerRequest& request, bool is_cdn) {
    const Fault& fault = is_cdn ? cdn_fault : hub_fault;
    if (fault) {
      if (auto reply = fault(request)) return *reply;
    }
    return is_cdn ? answer_cdn(request) : answer_hub(request);
  }

  HttpServerReply answer_cdn(const HttpServerRequest& request) const {
    for (const auto& [name, file] : files_) {
      if (request.target.starts_with("/" + file.sha256)) {
        return part_of(file.bytes, request, file.sha256.substr(0, 8));
      }
    }
    return missing("");
  }

  HttpServerReply answer_hub(const HttpServerRequest& request) const {
    const std::string api = "/api/models/" + repository_ + "/revision/";
    if (request.target.starts_with(api)) {
      const std::string revision =
          request.target.substr(api.size(), request.target.find('?') - api.size());
      if (revision != "main" && revision != commit_) return missing("RevisionNotFound");
      HttpServerReply reply;
      reply.headers = {{"Content-Type", "application/json"}};
      reply.text = list();
      return reply;
    }
    for (const char* revision : {"main", commit_.c_str()}) {
      const std::string prefix = "/" + repository_ + "/resolve/" + revision + "/";
      if (!request.target.starts_with(prefix)) continue;
      const auto found = files_.find(request.target.substr(prefix.size()));
      if (found == files_.end()) return missing("EntryNotFound");
      return resolve(found->second, request);
    }
    return missing("RepoNotFound");
  }

  HttpServerReply resolve(const HubServerFile& file, const HttpServerRequest& request) const {
    if (!file.is_large) {
      HttpServerReply reply = part_of(file.bytes, request, file.git_name);
      reply.headers.emplace_back("X-Repo-Commit", commit_);
      return reply;
    }
    HttpServerReply reply;
    reply.status = 302;
    reply.headers = {{"X-Repo-Commit", commit_},
                     {"X-Linked-Etag", "\"" + file.sha256 + "\""},
                     {"X-Linked-Size", std::to_string(announced(file))},
                     {"Location", cdn_->url() + "/" + file.sha256 + "?Signature=of-the-cdn"}};
    return reply;
  }

  HttpServerReply missing(const std::string& code) const {
    HttpServerReply reply;
    reply.status = 404;
    if (!code.empty()) reply.headers = {{"X-Error-Code", code}};
    reply.headers.emplace_back("X-Repo-Commit", commit_);
    reply.text = "{\"error\":\"not found\"}";
    return reply;
  }

  static size_t announced(const HubServerFile& file) {
    return file.size >= 0 ? static_cast<size_t>(file.size) : file.bytes.size();
  }

  std::string list() const {
    std::string text = "{\"id\":\"" + repository_ + "\",\"sha\":\"" + commit_ + "\"," + extra_json +
                       "\"siblings\":[";
    const char* separator = "";
    for (const auto& [name, file] : files_) {
      text += separator + std::string("{\"rfilename\":\"") + name + "\"";
      const std::string size = std::to_string(announced(file));
      if (has_blobs) {
        text += ",\"size\":" + size + ",\"blobId\":\"" + file.git_name + "\"";
      }
      if (has_blobs && file.is_large) {
        text += ",\"lfs\":{\"sha256\":\"" + file.sha256 + "\",\"size\":" + size + "}";
      }
      text += "}";
      separator = ",";
    }
    return text + "]}";
  }

  std::string repository_, commit_;
  Files files_;
  std::unique_ptr<HttpServer> cdn_, hub_;
};

}  // namespace dlm
