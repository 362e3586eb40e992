// dlm bases, and training on a base that is fetched, through the program and a hub on loopback.
#include "cli_fixture.h"
#include "hub_server.h"
#include "support/file_lock.h"

namespace dlm {
namespace {

constexpr const char* kName = "hf:tiny-org/tiny-model";
// A key of the registry, served under its own name and commit.
constexpr const char* kKey = "smollm2-135m";

class BasesCommand : public CliTest {
 protected:
  BasesCommand() {
    options_.environment["DLM_BASES"] = (folder_ / "no-bases").string();
    options_.environment["HF_HOME"] = (folder_ / "hf").string();
    options_.environment["HF_TOKEN"] = "hf_secret";
    options_.environment["no_proxy"] = "127.0.0.1,localhost";
  }

  static HubServer::Files files() {
    HubServer::Files files;
    for (const auto& entry : fs::directory_iterator(shared_bases() / kTinyBaseKey)) {
      const std::string name = entry.path().filename().string();
      files[name] = {read_file(entry.path()), name.ends_with(".safetensors")};
    }
    return files;
  }
  HubServer& serve(const std::string& repository = "tiny-org/tiny-model",
                   const std::string& commit = kHubCommit) {
    server_ = std::make_unique<HubServer>(repository, files(), commit);
    options_.environment["HF_ENDPOINT"] = server_->url();
    return *server_;
  }
  HubServer& serve_key() {
    return serve("HuggingFaceTB/SmolLM2-135M-Instruct", "12fd25f77366fa6b3b4b768ec3050bf629380bac");
  }
  fs::path repository() const { return folder_ / "hf/hub/models--tiny-org--tiny-model"; }
  fs::path blob() const {
    return repository() / "blobs" / server_->file("model.safetensors").sha256;
  }

  std::unique_ptr<HubServer> server_;
};

TEST_F(BasesCommand, MeasuresTexts) {
  options_.environment.erase("DLM_BASES");  // the bundled base
  write_file_atomic(folder_ / "one.txt", "Once upon a time there was a king.\n");
  write_file_atomic(folder_ / "two.md", "# Tables\nq=17;z{}|#x\n");
  const std::vector<std::string> command = {"bases", "measure", "dlm-nano",
                                            (folder_ / "one.txt").string(),
                                            (folder_ / "two.md").string()};
  const ProgramResult text = run(command);
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("one.txt\n"), text.out.npos) << text.out;
  EXPECT_TRUE(text.out.ends_with("  all\n")) << text.out;
  std::vector<std::string> as_json = command;
  as_json.push_back("--json");
  const Json json = parse_json(run(as_json).out);
  const auto& texts = json.at("texts").items();
  ASSERT_EQ(texts.size(), 2u);
  const double prose = texts.at(0).at("bits_per_byte").as_double();
  const double symbols = texts.at(1).at("bits_per_byte").as_double();
  EXPECT_LT(prose, 2.5);
  EXPECT_GT(symbols, 2 * prose);
  EXPECT_EQ(json.at("all").at("bytes").as_int(), 35 + 21);
  EXPECT_EQ(json.at("context").as_int(), 512);
  expect_refused({"bases", "measure", "dlm-nano", (folder_ / "none.txt").string()}, 1,
                 "bases: HERE/none.txt: there is no such file or folder\nhint: check the path\n");
}

TEST_F(BasesCommand, ListsWhatThereIs) {
  const ProgramResult text = run({"bases", "list"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("qwen2.5-1.5b                      1.5B    3.1 GB  Apache-2.0  -\n"),
            text.out.npos)
      << text.out;
  EXPECT_NE(text.out.find("licence to accept"), text.out.npos);
  const Json list = parse_json(run({"bases", "list", "--json"}).out);
  EXPECT_EQ(list.size(), 28u);
  EXPECT_EQ(list.items().at(0).at("key").as_string(), "dlm-nano");
  EXPECT_EQ(list.items().at(0).at("state").as_string(), "here");
  EXPECT_EQ(list.items().at(1).at("state").as_string(), "absent");
}

TEST_F(BasesCommand, ShowsWhatIsKnownOfABase) {
  const Json base = parse_json(run({"bases", "show", "smollm3-3b", "--json"}).out);
  EXPECT_EQ(base.at("gguf_arch").as_string(), "smollm3");
  EXPECT_EQ(base.at("pre_tokenizer").as_string(), "smaug-bpe");
  EXPECT_EQ(base.at("license").as_string(), "Apache-2.0");
  EXPECT_TRUE(base.at("reasoning").as_bool());
  const ProgramResult text = run({"bases", "show", "llama-3.2-1b"});
  EXPECT_NE(text.out.find("has to be accepted: --i-accept-license"), text.out.npos) << text.out;
  expect_refused({"bases", "show", "smolm3-3b"}, 1,
                 "base_model: base \"smolm3-3b\" is not known\n"
                 "hint: did you mean \"smollm3-3b\"?\n");
}

TEST_F(BasesCommand, PullsVerifiesAndRemoves) {
  serve();
  const ProgramResult first = run({"bases", "pull", kName});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.err.find("pull: hf:tiny-org/tiny-model, "), first.err.npos) << first.err;
  EXPECT_EQ((first.err + first.out).find("hf_secret"), std::string::npos);
  options_.environment["HF_HUB_OFFLINE"] = "1";
  const ProgramResult good = run({"bases", "verify", kName});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_NE(good.out.find("intact"), good.out.npos);
  const ProgramResult list = run({"bases", "list"});
  EXPECT_NE(list.out.find(std::string(kName) + "@" + kHubCommit), list.out.npos) << list.out;

  std::string bytes = read_file(blob());
  bytes.back() ^= 1;
  write_file_atomic(blob(), bytes);
  const ProgramResult bad = run({"bases", "verify", kName});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_NE(bad.out.find("damaged"), bad.out.npos) << bad.out;

  EXPECT_EQ(run({"bases", "rm", kName}).exit_code, 0);  // not agreed to
  EXPECT_TRUE(fs::exists(repository()));
  EXPECT_EQ(run({"bases", "rm", kName, "--force"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(repository()));
  EXPECT_EQ(run({"bases", "rm", kName, "--force"}).exit_code, 1);
  EXPECT_EQ(run({"bases", "rm", kTinyBaseKey, "--force"}).exit_code, 1);
}

TEST_F(BasesCommand, GoesOnAfterBeingKilled) {
  HubServer& hub = serve();
  const std::string weights = hub.file("model.safetensors").bytes;
  std::atomic<bool> holds = true;
  hub.cdn_fault = [&](const HttpServerRequest& request) -> std::optional<HttpServerReply> {
    if (!holds) return std::nullopt;
    // Half of it, and then nothing more comes.
    HttpServerReply reply = part_of(weights, request, "tag");
    reply.headers.emplace_back("Content-Length", std::to_string(reply.body.size()));
    // And nothing to one who asks again.
    const bool is_first = request.header("range").empty();
    reply.body = reply.body.substr(0, is_first ? weights.size() / 2 : 0);
    return reply;
  };
  fs::path part = blob();
  part += ".incomplete";
  {
    Program program({"bases", "pull", kName}, options_);
    std::error_code error;
    for (int i = 0; i < 600 && (fs::file_size(part, error) != weights.size() / 2 || error); ++i) {
      ::usleep(50'000);
    }
    ::kill(program.child(), SIGKILL);
    EXPECT_EQ(program.finish().signal, SIGKILL);
  }
  ASSERT_EQ(fs::file_size(part), weights.size() / 2);
  EXPECT_FALSE(fs::exists(repository() / "snapshots"));
  holds = false;
  const ProgramResult again = run({"bases", "pull", kName, "--json"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(parse_json(again.out).at("fetched_bytes").as_int(),
            static_cast<int64_t>(weights.size() - weights.size() / 2));
  EXPECT_EQ(hub.cdn().requests().back().header("range"),
            "bytes=" + std::to_string(weights.size() / 2) + "-");
  EXPECT_EQ(read_file(blob()), weights);
}

TEST_F(BasesCommand, StopsOnAnInterrupt) {
  HubServer& hub = serve();
  hub.cdn_fault = [&](const HttpServerRequest&) -> std::optional<HttpServerReply> {
    HttpServerReply reply;
    reply.headers = {
        {"Content-Length", std::to_string(hub.file("model.safetensors").bytes.size())}};
    return reply;  // a body that never comes
  };
  ProgramOptions options = options_;
  Program program({"bases", "pull", kName}, options);
  for (int i = 0; i < 600 && hub.cdn().num_requests() == 0; ++i) ::usleep(50'000);
  ::kill(program.child(), SIGINT);
  const ProgramResult result = program.finish(30);
  EXPECT_EQ(result.exit_code, 130) << result.err;
}

TEST_F(BasesCommand, TwoProgramsAtOnceFetchOnce) {
  HubServer& hub = serve();
  Program one({"bases", "pull", kName}, options_);
  Program other({"bases", "pull", kName}, options_);
  EXPECT_EQ(one.finish().exit_code, 0);
  EXPECT_EQ(other.finish().exit_code, 0);
  EXPECT_EQ(hub.cdn().num_requests(), 1u);
}

TEST_F(BasesCommand, TrainingNeverFetchesUnasked) {
  HubServer& hub = serve_key();
  write_document(kPairs);
  const ProgramResult refused =
      run({"train", document().string(), "--base", kKey, "--max-steps", "1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("base_model: base \"smollm2-135m\" is not on this machine\n"
                             "hint: `dlm bases pull smollm2-135m` fetches it (0.27 GB)"),
            refused.err.npos)
      << refused.err;
  EXPECT_NE(refused.err.find("warning: base smollm2-135m: "), refused.err.npos);
  EXPECT_EQ(hub.hub().num_requests(), 0u);
  const ProgramResult pulled =
      run({"train", document().string(), "--base", kKey, "--max-steps", "1", "--pull"});
  EXPECT_EQ(pulled.exit_code, 0) << pulled.err;
  // And the second time without the network.
  const size_t before = hub.hub().num_requests();
  options_.environment["HF_HUB_OFFLINE"] = "1";
  EXPECT_EQ(run({"train", document().string(), "--base", kKey, "--max-steps", "1"}).exit_code, 0);
  EXPECT_EQ(hub.hub().num_requests(), before);
}

TEST_F(BasesCommand, ADocumentKeepsTheCommitItWasTrainedOn) {
  serve();
  write_document(kPairs);
  EXPECT_EQ(run({"bases", "pull", kName}).exit_code, 0);
  const ProgramResult trained =
      run({"train", document().string(), "--base", kName, "--max-steps", "1"});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  for (const char* name : {"manifest.json", "dlm.lock"}) {
    const Json json = parse_json(read_file(store() / name));
    EXPECT_EQ(json.at("pinned_versions").at("base_commit").as_string(), kHubCommit) << name;
  }
  // The branch moves on, here to a commit that is not even complete.
  const std::string next(40, 'd');
  write_file_atomic(repository() / "refs/main", next);
  fs::create_directories(repository() / "snapshots" / next);
  const ProgramResult again =
      run({"train", document().string(), "--base", kName, "--max-steps", "1"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(run({"prompt", document().string(), "What swims?", "--max-tokens", "2"}).exit_code, 0);
}

TEST_F(BasesCommand, ALicenceIsAskedForOnce) {
  serve("google/gemma-2-2b-it", "299a8560bedf22ed1c72a8a11e7dce4a7f9f51f8");
  const std::vector<std::string> pull = {"bases", "pull", "gemma-2-2b-it"};
  expect_refused(pull, 1,
                 "license: the licence of base gemma-2-2b-it is not accepted\n"
                 "hint: read https://ai.google.dev/gemma/terms, then say --i-accept-license\n");
  write_document(kPairs);
  // The files are not Gemma's, which the probes would tell.
  const std::vector<std::string> train = {
      "train", document().string(), "--base", "gemma-2-2b-it", "--max-steps", "1", "--skip-probes"};
  EXPECT_EQ(run(train).exit_code, 1);
  EXPECT_EQ(server_->hub().num_requests(), 0u);
  ProgramResult accepted = run({"bases", "pull", "gemma-2-2b-it", "--i-accept-license"});
  EXPECT_EQ(accepted.exit_code, 0) << accepted.err;
  accepted = run(train);
  EXPECT_EQ(accepted.exit_code, 0) << accepted.err;
  EXPECT_EQ(parse_json(read_file(store() / "manifest.json"))
                .at("license_acceptance")
                .at("license_spdx")
                .as_string(),
            "Gemma");
  // The store alone is enough, too.
  fs::remove(home() / "licenses.json");
  EXPECT_EQ(run({"prompt", document().string(), "What swims?", "--max-tokens", "2"}).exit_code, 0);
  EXPECT_EQ(run(train).exit_code, 0);
}

TEST_F(BasesCommand, StartsWithoutLibcurl) {
  options_.environment["LD_TRACE_LOADED_OBJECTS"] = "1";
  EXPECT_EQ(run({"--version"}).out.find("libcurl"), std::string::npos);
}

}  // namespace
}  // namespace dlm
