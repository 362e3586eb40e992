// Where a base is found, in which order, and what is said when it is not or when a file is broken.
#include "bases/locate.h"

#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "model/decoder.h"
#include "support/error.h"
#include "support/hash.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

class LocateBase : public ::testing::Test {
 protected:
  LocateBase() {
    search_.own_folder = root_ / "own";
    search_.installed_folder = root_ / "installed";
    search_.built_folder = root_ / "built";
  }

  // A whole base with a decoder of a few weights.
  fs::path make_base(const fs::path& folder) {
    ModelConfig c;
    c.model_type = "llama";
    c.hidden_size = 4;
    c.intermediate_size = 8;
    c.num_layers = 1;
    c.num_heads = 2;
    c.num_kv_heads = 1;
    c.head_dim = 2;
    c.vocab_size = 8;
    c.max_positions = 16;
    fs::create_directories(folder);
    Decoder::random(c, DType::kBF16, 1)->save(folder);
    write_file_atomic(folder / "tokenizer.json", "{\"version\": \"1.0\"}\n");
    write_file_atomic(folder / "tokenizer_config.json", "{}");
    return folder;
  }

  Error error_of(std::string_view key) {
    try {
      locate_base(key, search_);
    } catch (const Error& e) {
      return e;
    }
    return Error(ErrorKind::kInternal, "no error");
  }

  TemporaryFolder root_;
  BaseSearch search_;
};

TEST_F(LocateBase, OwnFolderComesBeforeTheInstalledOneAndThatBeforeTheBuiltOne) {
  make_base(root_ / "built/dlm-nano");
  EXPECT_EQ(locate_base("dlm-nano", search_), root_ / "built/dlm-nano");
  make_base(root_ / "installed/dlm-nano");
  EXPECT_EQ(locate_base("dlm-nano", search_), root_ / "installed/dlm-nano");
  make_base(root_ / "own/dlm-nano");
  EXPECT_EQ(locate_base("dlm-nano", search_), root_ / "own/dlm-nano");
}

TEST_F(LocateBase, AFolderOfAnotherBaseIsNoMatch) {
  make_base(root_ / "own/smollm2-360m");
  EXPECT_EQ(error_of("smollm2-135m").message(), "base \"smollm2-135m\" is not on this machine");
}

TEST_F(LocateBase, TakesAPathWithASlashAsItIs) {
  const fs::path folder = make_base(root_ / "my-base");
  EXPECT_EQ(locate_base(folder.string(), search_), folder);
}

TEST_F(LocateBase, RefusesAPathThatIsNoFolder) {
  const Error e = error_of("./no-such-base");
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(e.message(), "there is no folder \"./no-such-base\"");
  EXPECT_EQ(e.hint(), "give the key of a known base, or the path of a folder with its files");
}

TEST_F(LocateBase, RefusesAPathThatNoFileSystemTakes) {
  const std::string path = "./" + std::string(5000, 'x');
  EXPECT_EQ(error_of(path).message(), "there is no folder \"" + path + "\"");
}

TEST_F(LocateBase, GivesTheKeyForAPublishersName) {
  const Error e = error_of("HuggingFaceTB/SmolLM2-135M-Instruct");
  EXPECT_EQ(e.message(), "there is no folder \"HuggingFaceTB/SmolLM2-135M-Instruct\"");
  EXPECT_EQ(e.hint(), "this base has the key \"smollm2-135m\"");
}

TEST_F(LocateBase, SuggestsTheNearestKey) {
  const Error e = error_of("smolm2-135m");
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(e.message(), "base \"smolm2-135m\" is not known");
  EXPECT_EQ(e.hint(), "did you mean \"smollm2-135m\"?");
  EXPECT_EQ(error_of("SmolLM2-135M").hint(), "did you mean \"smollm2-135m\"?");
}

TEST_F(LocateBase, RefusesBasesThatSeeOrHearByTheirKind) {
  const Error e = error_of("paligemma-3b-mix-224");
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(
      e.message(),
      "base \"paligemma-3b-mix-224\" is a vision-language base, and this version runs bases of "
      "text only");
}

TEST_F(LocateBase, ListsTheKeysWhenNoneIsNear) {
  const std::string hint = error_of("gpt-17-colossal").hint();
  EXPECT_TRUE(hint.starts_with("known bases: dlm-nano, qwen2.5-0.5b, ")) << hint;
  EXPECT_TRUE(hint.ends_with("; or the path of a folder, as ./my-base")) << hint;
}

TEST_F(LocateBase, SaysHowToPutAKnownBaseOnThisMachine) {
  const Error e = error_of("smollm2-135m");
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(e.hint(), "`dlm bases pull smollm2-135m` fetches it (0.27 GB) (looked in: " +
                          (root_ / "own/smollm2-135m").string() + ", " +
                          (root_ / "installed/smollm2-135m").string() + ", " +
                          (root_ / "built/smollm2-135m").string() + ")");
}

TEST_F(LocateBase, SaysHowToPutABaseOfTheHubOnThisMachine) {
  const Error e = error_of("hf:org/name@v1");
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(e.message(), "base \"hf:org/name@v1\" is not on this machine");
  EXPECT_EQ(e.hint(), "`dlm bases pull hf:org/name@v1` fetches it");
  EXPECT_EQ(error_of("hf:org").hint(),
            "write hf:org/name, or hf:org/name@revision with a commit, branch or tag");
}

TEST_F(LocateBase, LooksIntoTheCacheOfTheHubLast) {
  search_.hub_cache = root_ / "hub";
  const std::string commit = "12fd25f77366fa6b3b4b768ec3050bf629380bac";
  const fs::path snapshot =
      root_ / "hub/models--HuggingFaceTB--SmolLM2-135M-Instruct/snapshots" / commit;
  make_base(snapshot);
  EXPECT_EQ(locate_base("smollm2-135m", search_), snapshot);
  EXPECT_EQ(open_base("smollm2-135m", search_).commit, commit);
  make_base(root_ / "own/smollm2-135m");
  EXPECT_EQ(locate_base("smollm2-135m", search_), root_ / "own/smollm2-135m");
  EXPECT_EQ(open_base("smollm2-135m", search_).commit, "");
}

TEST_F(LocateBase, AnUnfinishedFetchIsSaidToBeOne) {
  search_.hub_cache = root_ / "hub";
  const fs::path snapshot = root_ /
                            "hub/models--HuggingFaceTB--SmolLM2-135M-Instruct/snapshots/"
                            "12fd25f77366fa6b3b4b768ec3050bf629380bac";
  make_base(snapshot);
  fs::remove(snapshot / "model.safetensors");
  EXPECT_EQ(error_of("smollm2-135m").hint(),
            "`dlm bases pull smollm2-135m` fetches what is missing, and `dlm bases verify "
            "smollm2-135m` finds what is damaged");
}

TEST_F(LocateBase, ANameOnTheHubIsWhatItsRefSaysUnlessItIsPinned) {
  search_.hub_cache = root_ / "hub";
  const fs::path repository = root_ / "hub/models--org--name";
  const std::string first(40, 'a'), second(40, 'b');
  make_base(repository / "snapshots" / first);
  make_base(repository / "snapshots" / second);
  fs::create_directories(repository / "refs");
  write_file_atomic(repository / "refs/main", second);
  EXPECT_EQ(locate_base("hf:org/name", search_), repository / "snapshots" / second);
  EXPECT_EQ(locate_base("hf:org/name@" + first, search_), repository / "snapshots" / first);
  search_.commits["hf:org/name"] = first;
  EXPECT_EQ(locate_base("hf:org/name", search_), repository / "snapshots" / first);
  search_.commits["hf:org/name"] = std::string(40, 'c');
  EXPECT_EQ(error_of("hf:org/name").message(),
            "base \"hf:org/name\" is not on this machine at the commit of the document's runs");
}

TEST_F(LocateBase, AFileInPlaceOfTheFolderIsNotABase) {
  fs::create_directories(root_ / "own");
  write_file_atomic(root_ / "own/dlm-nano", "x");
  EXPECT_EQ(error_of("dlm-nano").message(), "base \"dlm-nano\" is not on this machine");
}

TEST_F(LocateBase, NamesEachMissingFile) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    const std::string bytes = read_file(folder / name);
    fs::remove(folder / name);
    const Error e = error_of("dlm-nano");
    EXPECT_EQ(e.kind(), ErrorKind::kBase);
    EXPECT_EQ(std::string(e.what()),
              (folder / name).string() + ": the base has no " + std::string(name));
    write_file_atomic(folder / name, bytes);
  }
  EXPECT_EQ(locate_base("dlm-nano", search_), folder);
}

TEST_F(LocateBase, NamesMissingWeights) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  fs::remove(folder / "model.safetensors");
  const Error e = error_of("dlm-nano");
  EXPECT_EQ(e.kind(), ErrorKind::kBase);
  EXPECT_EQ(std::string(e.what()),
            folder.string() + ": the folder has no model.safetensors and no index of shards");
}

TEST_F(LocateBase, NamesWeightsThatAreCutOff) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  const fs::path weights = folder / "model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) - 10);
  const Error e = error_of("dlm-nano");
  EXPECT_EQ(e.place().path, weights.string());
  EXPECT_EQ(e.hint(),
            "the file is cut off, as after an interrupted download or copy: fetch it again");
}

TEST_F(LocateBase, NamesJsonFilesThatAreCutOffOrEmpty) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  const fs::path tokenizer = folder / "tokenizer.json";
  write_file_atomic(tokenizer, "{\"version\": \"1.0\", \"model\": {\"type\": \"BP");
  EXPECT_EQ(std::string(error_of("dlm-nano").what()),
            tokenizer.string() + ": tokenizer.json is cut off");
  write_file_atomic(tokenizer, "");
  EXPECT_EQ(std::string(error_of("dlm-nano").what()),
            tokenizer.string() + ": tokenizer.json is empty");
}

TEST_F(LocateBase, ABrokenBaseIsNotSkippedForALaterOne) {
  make_base(root_ / "built/dlm-nano");
  fs::create_directories(root_ / "own/dlm-nano");
  EXPECT_EQ(error_of("dlm-nano").place().path, (root_ / "own/dlm-nano/config.json").string());
}

TEST_F(LocateBase, RefusesAFamilyThatTheEngineDoesNotCompute) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  write_file_atomic(folder / "config.json", "{\"model_type\": \"mamba\"}");
  EXPECT_EQ(error_of("dlm-nano").message(), "model family \"mamba\" is not supported");
}

TEST_F(LocateBase, RevisionIsTheDigestOfTheWeights) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  const Base base = open_base("dlm-nano", search_);
  EXPECT_EQ(base.key, "dlm-nano");
  EXPECT_EQ(base.folder, folder);
  EXPECT_EQ(base.revision, sha256_hex(read_file(folder / "model.safetensors")));
}

TEST_F(LocateBase, RevisionOfShardsIsTheDigestOfTheirDigests) {
  const fs::path folder = make_base(root_ / "own/dlm-nano");
  const std::string bytes = read_file(folder / "model.safetensors");
  std::string map;
  for (const std::string& name : SafetensorsSet::open(folder).names()) {
    map += (map.empty() ? "" : ", ") + ("\"" + name + "\": \"model-1-of-1.safetensors\"");
  }
  fs::rename(folder / "model.safetensors", folder / "model-1-of-1.safetensors");
  write_file_atomic(folder / "model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  EXPECT_EQ(open_base("dlm-nano", search_).revision,
            sha256_hex(std::string_view("model-1-of-1.safetensors " + sha256_hex(bytes) + "\n")));
}

TEST(BaseSearch, EmptyFoldersAreLeftOut) {
  BaseSearch search;
  search.installed_folder = "/opt/dlm/share/dlm/bases";
  EXPECT_EQ(search.folders(), std::vector<fs::path>{"/opt/dlm/share/dlm/bases"});
}

TEST(BaseSearch, OfTheProcessStartsWithItsEnvironment) {
  const char* before = std::getenv("DLM_BASES");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("DLM_BASES", "/somewhere/bases", 1);
  const BaseSearch search = BaseSearch::of_process();
  if (before == nullptr) {
    ::unsetenv("DLM_BASES");
  } else {
    ::setenv("DLM_BASES", kept.c_str(), 1);
  }
  EXPECT_EQ(search.own_folder, "/somewhere/bases");
  EXPECT_EQ(search.installed_folder,
            fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "share/dlm/bases");
  EXPECT_EQ(search.built_folder, fs::path(DLM_SOURCE_ROOT) / "assets");
}

}  // namespace
}  // namespace dlm
