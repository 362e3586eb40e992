// Fetching a base from a hub on loopback, whole and through every fault of the line, the hub and
// the disk.
#include "bases/pull.h"

#include <gtest/gtest.h>

#include <thread>

#include "bases/hub_cache.h"
#include "bases/locate.h"
#include "hub_base.h"
#include "support/error.h"
#include "support/file_faults.h"
#include "support/file_lock.h"

namespace dlm {
namespace {

constexpr const char* kName = "hf:tiny-org/tiny-model";

class Pull : public ::testing::Test {
 protected:
  HubOptions options() {
    HubOptions options;
    options.settings.endpoint = server().url();
    options.settings.cache = cache_.path();
    options.settings.token = "hf_secret";
    options.wait = [](int64_t) {};
    options.limits.stall_timeout_s = 5;
    return options;
  }
  HubServer& server() {
    if (!server_) server_ = std::make_unique<HubServer>(kHubRepository, files_);
    return *server_;
  }
  PullPlan pull(const std::string& name = kName) {
    const PullPlan plan = plan_pull(name, options());
    run_pull(plan, options(), {});
    return plan;
  }
  Error error_of(const std::string& name = kName) {
    try {
      pull(name);
    } catch (const Error& e) {
      return e;
    }
    return Error(ErrorKind::kInternal, "no error");
  }
  // Every file of the cache, links as such.
  std::vector<std::string> tree() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(cache_.path())) {
      if (entry.is_directory() && !entry.is_symlink()) continue;
      names.push_back(fs::relative(entry.path().parent_path(), cache_.path()).string() + "/" +
                      entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  HubCache cache() const { return {cache_.path(), kHubRepository}; }
  const std::string& weights() { return server().file("model.safetensors").bytes; }
  fs::path weights_part() { return cache().part(server().file("model.safetensors").sha256); }
  fs::path weights_blob() { return cache().blob(server().file("model.safetensors").sha256); }

  HubServer::Files files_ = hub_base_files();
  TemporaryFolder cache_;
  std::unique_ptr<HubServer> server_;
};

TEST_F(Pull, LaysOutTheCacheAsHuggingFaceDoes) {
  const PullPlan plan = pull();
  EXPECT_EQ(plan.commit, kHubCommit);
  const std::string root = "models--tiny-org--tiny-model";
  const std::string snapshot = root + "/snapshots/" + kHubCommit;
  std::vector<std::string> expected = {root + "/refs/main"};
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md",
                           "model.safetensors"}) {
    const HubServerFile& file = server().file(name);
    const std::string digest = file.is_large ? file.sha256 : git_blob_name(file.bytes);
    expected.push_back(root + "/blobs/" + digest);
    expected.push_back(".locks/" + root + "/" + digest + ".lock");
    expected.push_back(snapshot + "/" + name);
    EXPECT_EQ(fs::read_symlink(cache_ / snapshot / name), "../../blobs/" + digest);
    EXPECT_EQ(read_file(cache_ / snapshot / name), file.bytes);
  }
  for (const char* name :
       {"added_tokens.json", "chat_template.jinja", "generation_config.json", "merges.txt",
        "special_tokens_map.json", "tokenizer.model", "vocab.json"}) {
    expected.push_back(root + "/.no_exist/" + kHubCommit + "/" + name);
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(tree(), expected);
  EXPECT_EQ(read_file(cache_ / root / "refs/main"), kHubCommit);
}

TEST_F(Pull, SaysTheCostFirstAndCountsToIt) {
  const PullPlan plan = plan_pull(kName, options());
  uint64_t total = 0;
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md",
                           "model.safetensors"}) {
    total += server().file(name).bytes.size();
  }
  EXPECT_EQ(plan.total_bytes, total);
  EXPECT_EQ(plan.missing_bytes, total);
  EXPECT_EQ(tree(), std::vector<std::string>());
  uint64_t last = 0;
  PullEvents events;
  events.on_progress = [&](uint64_t done, uint64_t of) {
    EXPECT_EQ(of, total);
    last = done;
  };
  run_pull(plan, options(), events);
  EXPECT_EQ(last, total);
}

TEST_F(Pull, WhatIsHereNeedsNoNetwork) {
  const std::string pinned = std::string(kName) + "@" + kHubCommit;
  pull(pinned);
  const size_t before = server().hub().num_requests();
  EXPECT_TRUE(plan_pull(pinned, options()).is_complete);
  EXPECT_EQ(server().hub().num_requests(), before);
  // A commit leaves no ref behind.
  EXPECT_FALSE(path_exists(cache().folder() / "refs"));
  BaseSearch search;
  search.hub_cache = cache_.path();
  const Base base = open_base(pinned, search);
  EXPECT_EQ(base.commit, kHubCommit);
  EXPECT_EQ(base.revision, sha256_hex(std::string_view(weights())));
}

TEST_F(Pull, TakesShardsByTheirIndex) {
  files_ = hub_base_files(true);
  const PullPlan plan = pull();
  EXPECT_TRUE(is_whole_base(plan.folder));
  EXPECT_TRUE(path_exists(plan.folder / "model.safetensors.index.json"));
}

TEST_F(Pull, AsksFileByFileWhereTheListSaysNoDigests) {
  server().has_blobs = false;
  EXPECT_TRUE(is_whole_base(pull().folder));
  EXPECT_EQ(read_file(weights_blob()), weights());
}

TEST_F(Pull, GoesOnWhereverTheLineBreaks) {
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{4096}, weights().size() - 1}) {
    remove_path(cache().folder());
    std::atomic<int> num_cuts = 0;
    server().cdn_fault = [&](const HttpServerRequest& request) -> std::optional<HttpServerReply> {
      if (num_cuts++ > 2) return std::nullopt;
      HttpServerReply reply = part_of(weights(), request, "tag");
      reply.cut_after = static_cast<int64_t>(std::min(cut, reply.body.size()));
      return reply;
    };
    pull();
    EXPECT_EQ(read_file(weights_blob()), weights()) << cut;
    EXPECT_FALSE(path_exists(weights_part()));
  }
}

TEST_F(Pull, GoesOnWithWhatAnEarlierRunLeft) {
  fs::create_directories(cache().blobs());
  write_file_atomic(weights_part(), weights().substr(0, 5000));
  const PullPlan plan = plan_pull(kName, options());
  EXPECT_EQ(plan.total_bytes - plan.missing_bytes, 5000u);
  run_pull(plan, options(), {});
  ASSERT_EQ(server().cdn().num_requests(), 1u);
  EXPECT_EQ(server().cdn().requests().at(0).header("range"), "bytes=5000-");
  EXPECT_EQ(read_file(weights_blob()), weights());
}

TEST_F(Pull, FetchesAllAgainWhereAnEarlierRunLeftDamage) {
  fs::create_directories(cache().blobs());
  for (const std::string& left : {std::string(5000, 'x'), weights() + "more"}) {
    remove_path(weights_blob());
    write_file_atomic(weights_part(), left);
    pull();
    EXPECT_EQ(read_file(weights_blob()), weights());
  }
}

TEST_F(Pull, RefusesOtherBytesThanAnnounced) {
  files_["model.safetensors"].bytes[100] ^= 1;
  files_["model.safetensors"].sha256 = std::string(64, 'a');
  const Error e = error_of();
  EXPECT_EQ(e.kind(), ErrorKind::kNetwork);
  EXPECT_TRUE(e.message().starts_with("model.safetensors arrived with the digest ")) << e.message();
  EXPECT_NE(e.message().find("not the aaaaaaaaaaaa… that was announced"), std::string::npos);
  EXPECT_FALSE(path_exists(cache().blob(std::string(64, 'a'))));
  EXPECT_FALSE(path_exists(cache().part(std::string(64, 'a'))));
  EXPECT_FALSE(path_exists(cache().snapshot(kHubCommit)));
}

TEST_F(Pull, RefusesSmallFilesThatChangedOnTheirWay) {
  server().hub_fault = [&](const HttpServerRequest& request) -> std::optional<HttpServerReply> {
    if (!request.target.ends_with("/tokenizer.json")) return std::nullopt;
    HttpServerReply reply;
    reply.text = "{\"version\": \"6.6\"}\n";
    return reply;
  };
  EXPECT_TRUE(error_of().message().starts_with("tokenizer.json arrived with the digest "));
}

TEST_F(Pull, RefusesAHubThatLiesAboutSizes) {
  files_["model.safetensors"].size = 1000;
  const Error e = error_of();
  EXPECT_EQ(e.kind(), ErrorKind::kNetwork);
  EXPECT_NE(e.message().find(" bytes, not the 1000 that were announced"), std::string::npos)
      << e.message();
  EXPECT_EQ(e.message().find("Signature"), std::string::npos) << e.message();
}

TEST_F(Pull, TheTokenStaysWithTheHub) {
  pull();
  for (const HttpServerRequest& request : server().hub().requests()) {
    EXPECT_EQ(request.header("authorization"), "Bearer hf_secret") << request.target;
  }
  ASSERT_GT(server().cdn().num_requests(), 0u);
  for (const HttpServerRequest& request : server().cdn().requests()) {
    EXPECT_EQ(request.header("authorization"), "");
  }
}

HubServer::Fault always(int status, const std::string& code, const std::string& text = "{}") {
  return [=](const HttpServerRequest&) {
    HttpServerReply reply;
    reply.status = status;
    if (!code.empty()) reply.headers = {{"X-Error-Code", code}};
    reply.text = text;
    return reply;
  };
}

TEST_F(Pull, ExplainsWhyTheHubGivesNothing) {
  const struct {
    int status;
    const char* code;
    ErrorKind kind;
    const char* message;
  } cases[] = {
      {403, "GatedRepo", ErrorKind::kLicense, " is gated: its publisher gives it to those only"},
      {401, "GatedRepo", ErrorKind::kLicense, " is gated: its publisher gives it to those only"},
      {401, "RepoNotFound", ErrorKind::kBase, " is private, gated, or not there"},
      {404, "RepoNotFound", ErrorKind::kBase, " is not on http://127.0.0.1:"},
      {404, "RevisionNotFound", ErrorKind::kBase, " has no such revision"},
      {429, "", ErrorKind::kNetwork, " asks for fewer requests"},
      {503, "", ErrorKind::kNetwork, " answers with status 503"},
  };
  for (const auto& one : cases) {
    server().hub_fault = always(one.status, one.code);
    const Error e = error_of();
    EXPECT_EQ(e.kind(), one.kind) << one.status << one.code;
    EXPECT_NE(e.message().find(one.message), std::string::npos) << e.message();
    EXPECT_EQ((e.message() + e.hint()).find("hf_secret"), std::string::npos);
  }
  server().hub_fault = always(403, "GatedRepo");
  EXPECT_EQ(error_of().hint(), "log in and accept at " + server().url() +
                                   "/tiny-org/tiny-model, then the token in use has no access: "
                                   "check HF_TOKEN and its rights");
}

TEST_F(Pull, RefusesWhatIsNoListOfFiles) {
  const std::pair<const char*, const char*> cases[] = {
      {"<!DOCTYPE html><html>Log in</html>", "answers with a web page instead of JSON"},
      {"{\"sha\": ", "answers with broken JSON"},
      {"{}", "answers without a commit"},
      {"{\"sha\": \"main\"}", "answers without a commit"},
      {"{\"sha\": \"0123456789abcdef0123456789abcdef01234567\"}",
       "answers without a list of files"},
      {"{\"sha\": \"0123456789abcdef0123456789abcdef01234567\", \"siblings\": [{}]}",
       "lists a file without a name"},
  };
  for (const auto& [text, message] : cases) {
    server().hub_fault = always(200, "", text);
    const Error e = error_of();
    EXPECT_EQ(e.kind(), ErrorKind::kNetwork);
    EXPECT_NE(e.message().find(message), std::string::npos) << e.message();
  }
  EXPECT_EQ(tree(), std::vector<std::string>());
}

TEST_F(Pull, RefusesFilesThatLeadOutOfTheirFolder) {
  for (const char* name : {"../../evil", "/etc/passwd", "a/../../b", "a//b", "..", "a\\\\b"}) {
    server_.reset();
    files_ = hub_base_files();
    files_[name] = {"x"};
    const Error e = error_of();
    EXPECT_EQ(e.kind(), ErrorKind::kBase) << name;
    EXPECT_NE(e.message().find("a file whose name leads out of its folder"), std::string::npos)
        << e.message();
    EXPECT_EQ(server().hub().num_requests(), 1u);
  }
}

TEST_F(Pull, RefusesPickledWeightsWithTheReason) {
  files_.erase("model.safetensors");
  const Error e = error_of();
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(e.message(), "tiny-org/tiny-model has its weights as pickled files (*.bin) only");
  EXPECT_TRUE(e.hint().starts_with("reading such a file may run any code")) << e.hint();
}

TEST_F(Pull, RefusesAModelThatCannotBeRunBeforeItsWeights) {
  files_["config.json"] = {"{\"model_type\": \"mamba\"}"};
  const Error e = error_of();
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(e.message(),
            std::string(kName) + " cannot be used: model family \"mamba\" is not supported");
  EXPECT_EQ(server().cdn().num_requests(), 0u);
}

TEST_F(Pull, RefusesAnotherCommitThanAskedFor) {
  const std::string other(40, 'b');
  server().hub_fault = [&](const HttpServerRequest&) -> std::optional<HttpServerReply> {
    HttpServerReply reply;
    reply.text = std::string("{\"sha\": \"") + kHubCommit + "\", \"siblings\": []}";
    return reply;
  };
  const Error e = error_of(std::string(kName) + "@" + other);
  EXPECT_NE(e.message().find("answers for commit " + std::string(kHubCommit) + " when asked for " +
                             other),
            std::string::npos)
      << e.message();
}

TEST_F(Pull, AFullDiskKeepsWhatArrivedAndGoesOnLater) {
  {
    uint64_t written = 0;
    const ScopedFileFault fault([&](FileStep step, const fs::path& path) {
      if (step != FileStep::kWrite || path != weights_part()) return 0;
      return written++ > 0 ? ENOSPC : 0;
    });
    server().cdn_fault = [&](const HttpServerRequest& request) -> std::optional<HttpServerReply> {
      // In two pieces.
      HttpServerReply reply = part_of(weights(), request, "tag");
      if (request.header("range").empty()) reply.cut_after = 3000;
      return reply;
    };
    const Error e = error_of();
    EXPECT_EQ(e.kind(), ErrorKind::kIo);
    EXPECT_TRUE(e.hint().starts_with("the disk is full")) << e.hint();
  }
  EXPECT_EQ(fs::file_size(weights_part()), 3000u);
  EXPECT_FALSE(path_exists(cache().snapshot(kHubCommit)));
  pull();
  EXPECT_EQ(read_file(weights_blob()), weights());
}

TEST_F(Pull, TwoAtOnceFetchEachFileOnce) {
  server();  // made before the threads that share it
  std::thread other([this] { pull(); });
  pull();
  other.join();
  EXPECT_EQ(read_file(weights_blob()), weights());
  EXPECT_EQ(server().cdn().num_requests(), 1u);
}

TEST_F(Pull, WaitsForALockThatAnotherProgramHolds) {
  const fs::path path = cache().lock(server().file("model.safetensors").sha256);
  fs::create_directories(path.parent_path());
  auto held = FileLock::try_acquire(path);
  ASSERT_TRUE(held);
  HubOptions stopped = options();
  std::atomic<int> asked = 0;
  stopped.should_stop = [&] { return ++asked > 30 && !path_exists(weights_blob()); };
  const PullPlan plan = plan_pull(kName, options());
  EXPECT_THROW(run_pull(plan, stopped, {}), Error);
  EXPECT_EQ(server().cdn().num_requests(), 0u);
  held->abandon();
  pull();
  EXPECT_TRUE(path_exists(path));
}

TEST_F(Pull, OfflineSaysSo) {
  HubOptions offline = options();
  offline.settings.is_offline = true;
  try {
    plan_pull(kName, offline);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(),
              std::string(kName) + " is not on this machine, and HF_HUB_OFFLINE is set");
  }
  EXPECT_EQ(server().hub().num_requests(), 0u);
  pull();
  EXPECT_TRUE(plan_pull(kName, offline).is_complete);
}

TEST_F(Pull, TheBundledBaseAndUnknownOnesAreNotAskedFor) {
  EXPECT_EQ(error_of("dlm-nano").message(), "base \"dlm-nano\" comes with this program");
  EXPECT_EQ(error_of("smolm2-135m").hint(), "did you mean \"smollm2-135m\"?");
  EXPECT_EQ(error_of("hf:../x").kind(), ErrorKind::kBase);
  EXPECT_EQ(server().hub().num_requests(), 0u);
}

}  // namespace
}  // namespace dlm
