// Tokenizers as GGUF metadata: the published ones by their names, a converted one key by key, and
// each rule on a small file.
#include "export/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "export/pre_tokenizer_label.h"
#include "export/tiny_gguf_base.h"
#include "support/error.h"
#include "temporary_folder.h"
#include "tiny_tokenizer.h"

namespace dlm {
namespace {

ModelConfig rows(int64_t count, const std::string& family = "llama") {
  ModelConfig config;
  config.model_type = family;
  config.vocab_size = count;
  return config;
}

// The keys of one folder, by name.
class Keys {
 public:
  Keys(const fs::path& folder, const ModelConfig& config, const char* config_json = "{}",
       const std::string& chat_template = "")
      : tokenizer(gguf_tokenizer(folder, config, parse_json(config_json), chat_template)) {}

  const GgufValue* find(std::string_view key) const {
    for (const GgufField& field : tokenizer.keys) {
      if (field.key == key) return &field.value;
    }
    return nullptr;
  }
  template <class T>
  T get(std::string_view key) const {
    const GgufValue* value = find(key);
    return value == nullptr ? T{} : std::get<T>(*value);
  }
  template <class T>
  std::vector<T> list(std::string_view key) const {
    return std::get<std::vector<T>>(get<GgufArray>(key));
  }

  GgufTokenizer tokenizer;
};

class GgufTokenizerTest : public ::testing::Test {
 protected:
  void write(const std::string& tokenizer, const std::string& config = "{}") {
    write_file_atomic(folder_.path() / "tokenizer.json", tokenizer);
    write_file_atomic(folder_.path() / "tokenizer_config.json", config);
  }
  std::string refusal(const ModelConfig& config, const char* config_json = "{}") {
    try {
      gguf_tokenizer(folder_.path(), config, parse_json(config_json), "");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBase);
      EXPECT_FALSE(error.hint().empty());
      return error.message();
    }
    return "no error";
  }

  // SentencePiece pieces as tokenizer.json holds them; `more` are members of the file.
  static std::string pieces(const std::string& more) {
    return R"({"model":{"type":"BPE","byte_fallback":true,"unk_token":"<unk>","vocab":{"<unk>":0,)"
           R"("<s>":1,"<0x41>":2,"▁":3,"a":4,"b":5,"ab":6,"▁a":7,"▁ab":8,"▁▁":9},)"
           R"("merges":["a b","▁ a","▁a b","▁ ab"]},"added_tokens":[)"
           R"({"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},)"
           R"({"id":9,"content":"▁▁","special":false}],"decoder":null,)" +
           more + "}";
  }

  TemporaryFolder folder_;
};

constexpr const char* kLlamaNormalizer =
    R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},)"
    R"({"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,)"
    R"("post_processor":null)";

TEST_F(GgufTokenizerTest, WritesByteLevelTokensAndMerges) {
  write_tiny_tokenizer(folder_.path());
  const Keys keys(folder_.path(), rows(322));
  EXPECT_EQ(keys.get<std::string>("tokenizer.ggml.model"), "gpt2");
  const auto tokens = keys.list<std::string>("tokenizer.ggml.tokens");
  const auto kinds = keys.list<int32_t>("tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 322u);
  EXPECT_EQ(tokens[2], "<|im_end|>");
  EXPECT_EQ(kinds[2], 3);
  EXPECT_EQ(kinds[40], 1);
  EXPECT_EQ(tokens[321], "[PAD321]");
  EXPECT_EQ(kinds[321], 5);
  EXPECT_FALSE(keys.list<std::string>("tokenizer.ggml.merges").empty());
  EXPECT_TRUE(keys.list<float>("tokenizer.ggml.scores").empty());
  EXPECT_EQ(keys.get<uint32_t>("tokenizer.ggml.eos_token_id"), 2u);
  EXPECT_EQ(keys.get<uint32_t>("tokenizer.ggml.padding_token_id"), 3u);
  EXPECT_EQ(keys.find("tokenizer.ggml.bos_token_id"), nullptr);
  EXPECT_FALSE(keys.get<bool>("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(keys.get<std::string>("tokenizer.chat_template"), kTinyTemplate);
  EXPECT_EQ(keys.find("tokenizer.ggml.add_space_prefix"), nullptr);
}

TEST_F(GgufTokenizerTest, WritesPiecesWithScoresInTheOrderOfMerges) {
  write(pieces(kLlamaNormalizer), R"({"bos_token":"<s>","add_bos_token":true})");
  const Keys keys(folder_.path(), rows(11));
  EXPECT_EQ(keys.get<std::string>("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(keys.get<std::string>("tokenizer.ggml.pre"), "default");
  EXPECT_EQ(keys.list<int32_t>("tokenizer.ggml.token_type"),
            (std::vector<int32_t>{2, 3, 6, 1, 1, 1, 1, 1, 1, 4, 5}));
  EXPECT_EQ(keys.list<std::string>("tokenizer.ggml.tokens")[9], "  ");
  // "ab", "▁a", "▁ab" by rank; then the tokens that no merge makes.
  EXPECT_EQ(keys.list<float>("tokenizer.ggml.scores"),
            (std::vector<float>{0, 0, 0, -3, -4, -5, 0, -1, -2, -1000, -10000}));
  EXPECT_TRUE(keys.get<bool>("tokenizer.ggml.add_bos_token"));
  EXPECT_TRUE(keys.get<bool>("tokenizer.ggml.add_space_prefix"));
}

TEST_F(GgufTokenizerTest, TakesTheLastOfEqualKeysAsTheTokenizerDoes) {
  const std::string once = pieces(kLlamaNormalizer);
  write(once);
  const Keys expected(folder_.path(), rows(10));
  std::string twice = once;
  twice.replace(twice.find(R"("a":4)"), 5, R"("b":4,"a":4)");
  write(twice);
  const Keys keys(folder_.path(), rows(10));
  EXPECT_EQ(keys.list<std::string>("tokenizer.ggml.tokens"),
            expected.list<std::string>("tokenizer.ggml.tokens"));
  EXPECT_EQ(keys.list<float>("tokenizer.ggml.scores"),
            expected.list<float>("tokenizer.ggml.scores"));
}

TEST_F(GgufTokenizerTest, PiecesWithoutABlankInFront) {
  write(pieces(R"("normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},)"
               R"("pre_tokenizer":{"type":"Split","pattern":{"String":" "},)"
               R"("behavior":"MergedWithPrevious","invert":false},"post_processor":null)"));
  EXPECT_FALSE(Keys(folder_.path(), rows(10)).get<bool>("tokenizer.ggml.add_space_prefix"));
}

TEST_F(GgufTokenizerTest, RefusesTextsChangedAsNoRunTimeDoes) {
  write(pieces(R"("normalizer":{"type":"NFKC"},"pre_tokenizer":null,"post_processor":null)"));
  EXPECT_EQ(refusal(rows(10)),
            "the \"normalizer\" of this tokenizer changes texts as no GGUF run time does");
  Json json = parse_json(three_token_json());
  Json pre = parse_json(R"({"type":"Punctuation","behavior":"Isolated"})");
  json.set("pre_tokenizer", pre);
  write(json.dump());
  EXPECT_EQ(refusal(rows(3)),
            "no GGUF run time cuts text into words as this tokenizer's \"pre_tokenizer\" does");
}

TEST_F(GgufTokenizerTest, RefusesMoreTokensThanRowsAndOneTextTwice) {
  write(three_token_json());
  EXPECT_EQ(refusal(rows(2)), "the tokenizer has 3 tokens, the embedding has 2 rows");
  EXPECT_EQ(refusal(rows(3), R"({"eos_token_id":7})"),
            "the eos token 7 is no row of the embedding");
  // A user-defined piece is written with blanks, which another token spells already.
  Json json = parse_json(pieces(kLlamaNormalizer));
  Json added = json.at("added_tokens");
  added.push_back(parse_json(R"({"id":10,"content":"  ","special":false})"));
  json.set("added_tokens", added);
  write(json.dump());
  EXPECT_EQ(refusal(rows(11)), "two tokens have the text \"  \", which GGUF run times refuse");
}

TEST_F(GgufTokenizerTest, ThePostProcessorSaysWhatIsAddedAndTheConfigurationOverrides) {
  const auto with_template = [&](const std::string& single) {
    return R"("normalizer":null,"pre_tokenizer":null,"post_processor":{"type":)"
           R"("TemplateProcessing","single":[)" +
           single +
           R"(],"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]},)"
           R"("<unk>":{"id":"<unk>","ids":[0],"tokens":["<unk>"]}}})";
  };
  const std::string s = R"({"SpecialToken":{"id":"<s>","type_id":0}})";
  const std::string a = R"({"Sequence":{"id":"A","type_id":0}})";
  const std::string unk = R"({"SpecialToken":{"id":"<unk>","type_id":0}})";
  write(pieces(with_template(s + "," + a)), R"({"bos_token":"<s>"})");
  EXPECT_TRUE(Keys(folder_.path(), rows(10)).get<bool>("tokenizer.ggml.add_bos_token"));
  write(pieces(with_template(s + "," + a)), R"({"bos_token":"<s>","add_bos_token":false})");
  EXPECT_FALSE(Keys(folder_.path(), rows(10)).get<bool>("tokenizer.ggml.add_bos_token"));
  // Another token in front is no begin of text.
  write(pieces(with_template(unk + "," + a)), R"({"bos_token":"<s>"})");
  EXPECT_FALSE(Keys(folder_.path(), rows(10)).get<bool>("tokenizer.ggml.add_bos_token"));
  // The token that ends a text takes the place of the configured one.
  write(pieces(with_template(a + "," + unk)), R"({"eos_token":"<s>"})");
  const Keys keys(folder_.path(), rows(10));
  EXPECT_TRUE(keys.get<bool>("tokenizer.ggml.add_eos_token"));
  EXPECT_EQ(keys.get<uint32_t>("tokenizer.ggml.eos_token_id"), 0u);
  EXPECT_EQ(keys.get<uint32_t>("tokenizer.ggml.eot_token_id"), 1u);
}

TEST_F(GgufTokenizerTest, TakesSpecialIdsFromConfigJsonLast) {
  write(three_token_json(), R"({"pad_token":{"content":"nowhere"}})");
  const Keys keys(folder_.path(), rows(3),
                  R"({"bos_token_id":1,"eos_token_id":[2,0],"pad_token_id":null})");
  EXPECT_EQ(keys.get<uint32_t>("tokenizer.ggml.bos_token_id"), 1u);
  EXPECT_EQ(keys.get<uint32_t>("tokenizer.ggml.eos_token_id"), 2u);
  EXPECT_EQ(keys.find("tokenizer.ggml.padding_token_id"), nullptr);
}

TEST_F(GgufTokenizerTest, TheChatTemplateBesideGoesFirst) {
  write(three_token_json(), R"({"chat_template":[{"name":"default","template":"one"},)"
                            R"({"name":"tool_use","template":"two"}]})");
  {
    const Keys keys(folder_.path(), rows(3), "{}", "stand-in");
    EXPECT_EQ(keys.get<std::string>("tokenizer.chat_template"), "one");
    EXPECT_EQ(keys.get<std::string>("tokenizer.chat_template.tool_use"), "two");
    EXPECT_EQ(keys.list<std::string>("tokenizer.chat_templates"),
              (std::vector<std::string>{"tool_use"}));
  }
  write_file_atomic(folder_.path() / "chat_template.jinja", "three");
  EXPECT_EQ(Keys(folder_.path(), rows(3)).get<std::string>("tokenizer.chat_template"), "three");
  fs::remove(folder_.path() / "chat_template.jinja");
  write(three_token_json());
  EXPECT_EQ(
      Keys(folder_.path(), rows(3), "{}", "stand-in").get<std::string>("tokenizer.chat_template"),
      "stand-in");
}

TEST(GgufModelName, SaysPhi3ExactlyWhereControlTokensStripBlanks) {
  GgufTokenizer phi, other;
  phi.strips_like_phi3 = true;
  EXPECT_EQ(gguf_model_name("My model", phi), "My model (Phi-3)");
  EXPECT_EQ(gguf_model_name("Phi-3.5-mini", phi), "Phi-3.5-mini");
  EXPECT_EQ(gguf_model_name("", phi), "Phi-3");
  EXPECT_EQ(gguf_model_name("Not Phi-3 nor PHI3", other), "Not Phi 3 nor PHI 3");
  EXPECT_EQ(gguf_model_name("SmolLM2", other), "SmolLM2");
}

// The published tokenizers, which are not ours to keep in the tree.
class OutsideTokenizers : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* outside = std::getenv("DLM_TEST_DATA");
    if (outside == nullptr) GTEST_SKIP() << "DLM_TEST_DATA is not set";
    root_ = fs::path(outside);
  }
  std::string label(const std::string& name) {
    const fs::path path = root_ / "tokenizers" / name / "tokenizer.json";
    const PreTokenizerLabel label = pre_tokenizer_label(
        Tokenizer::load(path), parse_json(read_file(path), path.string()), path.string());
    EXPECT_TRUE(label.is_by_ids) << name;
    return label.name;
  }

  fs::path root_;
};

TEST_F(OutsideTokenizers, HaveTheNamesOfThePublishedFiles) {
  EXPECT_EQ(label("llama-3.2-instruct"), "llama-bpe");
  EXPECT_EQ(label("smollm3-3b"), "smaug-bpe");
  EXPECT_EQ(label("smollm2-135m-instruct"), "smollm");
  EXPECT_EQ(label("qwen2.5-instruct"), "qwen2");
  EXPECT_EQ(label("qwen3-instruct"), "qwen2");
  EXPECT_EQ(label("olmo-2"), "dbrx");
}

TEST_F(OutsideTokenizers, GiveTheKeysOfAConvertedModel) {
  const fs::path folder = root_ / "models" / "stories260K";
  const GgufFile reference = GgufFile::open(folder / "stories260K-f32.gguf");
  const Keys keys(folder, load_model_config(folder), read_file(folder / "config.json").c_str());
  size_t compared = 0;
  for (const GgufField& field : reference.fields()) {
    if (!field.key.starts_with("tokenizer.")) continue;
    const GgufValue* ours = keys.find(field.key);
    ASSERT_NE(ours, nullptr) << field.key;
    EXPECT_TRUE(*ours == field.value) << field.key;
    ++compared;
  }
  EXPECT_EQ(compared, 10u);
}

}  // namespace
}  // namespace dlm
