// Names on a hub, and where the environment puts its cache and token.
#include "bases/hub_name.h"

#include <gtest/gtest.h>

#include <map>

#include "bases/hub_settings.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

TEST(HubName, HasARepositoryAndPerhapsARevision) {
  const HubName plain = parse_hub_name("hf:Qwen/Qwen2.5-0.5B");
  EXPECT_EQ(plain.repository, "Qwen/Qwen2.5-0.5B");
  EXPECT_EQ(plain.revision, "");
  EXPECT_EQ(plain.text(), "hf:Qwen/Qwen2.5-0.5B");
  const HubName pinned = parse_hub_name("hf:org/name@refs/pr/1");
  EXPECT_EQ(pinned.revision, "refs/pr/1");
  EXPECT_EQ(pinned.text(), "hf:org/name@refs/pr/1");
}

TEST(HubName, RefusesWhatCouldLeadElsewhere) {
  for (const char* text :
       {"hf:", "hf:name", "hf:/name", "hf:org/", "hf:org/name/x", "hf:../name", "hf:org/..",
        "hf:org/na me", "hf:org/na--me", "hf:-org/name", "hf:org/.name", "hf:org/name@",
        "hf:org/name@../x", "hf:org/name@a//b", "hf:org/name@/x", "hf:org/name@a b", "org/name"}) {
    EXPECT_THROW(parse_hub_name(text), Error) << text;
  }
}

TEST(HubName, KnowsSafeNamesOfFiles) {
  for (const char* name : {"config.json", "onnx/model.onnx", "a b.txt", ".gitattributes"}) {
    EXPECT_TRUE(is_safe_file_name(name)) << name;
  }
  for (const char* name : {"", "..", "../x", "/x", "a/..", "a/./b", "a//b", "a\\b", "a\nb"}) {
    EXPECT_FALSE(is_safe_file_name(name)) << name;
  }
  EXPECT_FALSE(is_safe_file_name(std::string(300, 'x')));
}

HubSettings settings_of(std::map<std::string, std::string> environment) {
  return HubSettings::from([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(HubSettings, FindTheCacheAsHuggingFaceDoes) {
  EXPECT_EQ(settings_of({{"HOME", "/h"}}).cache, "/h/.cache/huggingface/hub");
  EXPECT_EQ(settings_of({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(settings_of({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache,
            "/h/hf/hub");
  EXPECT_EQ(settings_of({{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(settings_of({{"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache,
            "/new");
  EXPECT_EQ(settings_of({{"D", "/disk"}, {"HF_HOME", "$D/${D}x/$E"}}).cache, "/disk//diskx/$E/hub");
  EXPECT_EQ(settings_of({}).cache, "");
}

TEST(HubSettings, ReadEndpointAndOfflineMode) {
  EXPECT_EQ(settings_of({}).endpoint, "https://huggingface.co");
  EXPECT_EQ(settings_of({{"HF_ENDPOINT", "https://mirror.example//"}}).endpoint,
            "https://mirror.example");
  EXPECT_FALSE(settings_of({{"HF_HUB_OFFLINE", "0"}}).is_offline);
  EXPECT_TRUE(settings_of({{"HF_HUB_OFFLINE", "True"}}).is_offline);
  EXPECT_TRUE(settings_of({{"TRANSFORMERS_OFFLINE", "1"}}).is_offline);
}

TEST(HubSettings, FindTheToken) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "token", "hf_file\n");
  const std::string home = folder.path().string();
  EXPECT_EQ(settings_of({{"HF_HOME", home}}).token, "hf_file");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HF_TOKEN", " hf_own "}}).token, "hf_own");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token, "");
  EXPECT_EQ(settings_of({{"HF_TOKEN_PATH", home + "/none"}}).token, "");
  // It would become two header lines.
  EXPECT_THROW(settings_of({{"HF_TOKEN", "a\r\nX-Evil: b"}}), Error);
}

}  // namespace
}  // namespace dlm
