// Folders of every target that writes no GGUF file, proved: what is right holds, and each thing
// that is changed in them is found.
#include "export/folder_proof.h"

#include <gtest/gtest.h>

#include <cstring>

#include "export/export_fault.h"
#include "export/exported_hf.h"
#include "export/exported_mlx.h"
#include "export/gguf_model.h"
#include "export/hf_model.h"
#include "export/mlx.h"
#include "formats/safetensors.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

class FolderProofTest : public ::testing::Test {
 protected:
  FolderProofTest() : base_(folder_ / "base"), out_(folder_ / "out") {
    write_tiny_base(base_);
    make_folders(out_);
    decoder_ = Decoder::load(base_, DType::kF32);
    format_ = std::make_unique<ChatFormat>(ChatFormat::load(base_));
    rows_.push_back(format_->conversation("What swims?", "The otter swims.", std::nullopt));
    rows_.push_back(format_->conversation("What stands?", "The heron stands.", std::nullopt));
  }

  void train(const LoraOptions& options = {}) {
    adapter_ = LoraAdapter::create(*decoder_, options, 5);
    for (const auto& [module, lora] : adapter_->layers()) {
      for (int64_t i = 0; i < lora->bt.value.numel(); ++i) {
        lora->bt.value.mutable_f32()[i] = 0.1f * static_cast<float>(i * 31 % 7 - 3);
      }
      ++lora->bt.version;
    }
    make_folders(trained());
    adapter_->save(trained());
  }
  fs::path trained() const { return folder_ / "trained"; }

  ProofResult prove(const ExportedModel& exported, const ProofLimits& limits) {
    ProofRequest r;
    r.decoder = decoder_.get();
    r.adapter = adapter_.get();
    r.format = format_.get();
    r.exported = &exported;
    r.limits = limits;
    r.rows = rows_;
    r.questions = {{"What swims?", ""}};
    return prove_export(r, device_);
  }
  ProofResult prove_hf() { return prove(ExportedHf(out_), merged_limits({})); }
  ProofResult prove_vllm() { return prove(ExportedVllm(out_, "tone", base_), adapter_limits({})); }
  ProofResult prove_mlx() { return prove(ExportedMlx(out_, "tone", base_), adapter_limits({})); }

  void write_hf() { write_hf_model(base_, trained(), out_, device_, {}); }
  void write_vllm(const std::string& hf_id = "") {
    write_vllm_export({{base_, "tiny", hf_id, "main"}, "served", 0, {{"tone", trained()}}}, out_);
  }
  void write_mlx() { write_mlx_export({{base_, "tiny", "", ""}, {"tone", trained()}}, out_); }

  // The tensors of a file written again after `change` saw them.
  struct Stored {
    std::vector<int64_t> shape;
    std::string dtype;
    std::vector<std::byte> bytes;
  };
  static void rewrite(const fs::path& path,
                      const std::function<void(std::map<std::string, Stored>&)>& change) {
    std::map<std::string, Stored> all;
    {
      const SafetensorsFile file = SafetensorsFile::open(path);
      for (const SafetensorsTensor& t : file.tensors()) {
        all[t.name] = {t.shape, t.dtype, {t.bytes.begin(), t.bytes.end()}};
      }
    }
    change(all);
    std::vector<SafetensorsTensor> views;
    for (const auto& [name, t] : all) views.push_back({name, t.dtype, t.shape, t.bytes});
    write_safetensors(path, views);
  }
  static void replace(const fs::path& path, const std::string& from, const std::string& to) {
    std::string text = read_file(path);
    const size_t at = text.find(from);
    ASSERT_NE(at, text.npos) << from << " in " << text;
    text.replace(at, from.size(), to);
    write_file_atomic(path, text);
  }

  TemporaryFolder folder_;
  fs::path base_, out_;
  Device device_{2};
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<LoraAdapter> adapter_;
  std::unique_ptr<ChatFormat> format_;
  std::vector<TokenRow> rows_;
};

LoraOptions patterned() {
  LoraOptions options;
  options.rank_pattern = {{"q_proj", 4}, {"down_proj", 2}};
  options.alpha_pattern = {{"v_proj", 64.0}};
  return options;
}

TEST_F(FolderProofTest, TheAdapterIsSeen) {
  train();
  copy_base(base_, out_);  // as if it had been left out
  EXPECT_FALSE(prove_hf().holds());
}

TEST_F(FolderProofTest, MergedWeightsHold) {
  train();
  write_hf();
  const ProofResult r = prove_hf();
  EXPECT_TRUE(r.holds()) << ::testing::PrintToString(r.faults());
  EXPECT_EQ(r.same_texts, 3);
  ASSERT_EQ(r.files.size(), 2u);
  EXPECT_EQ(r.files[1].path, "model.safetensors");
}

TEST_F(FolderProofTest, SwappedMergedTensorsAreFound) {
  train();
  write_hf();
  rewrite(out_ / "model.safetensors", [](auto& all) {
    std::swap(all.at("model.layers.0.mlp.up_proj.weight").bytes,
              all.at("model.layers.1.mlp.up_proj.weight").bytes);
  });
  EXPECT_FALSE(prove_hf().holds());
}

TEST_F(FolderProofTest, MergedWeightsThatAreNotFiniteAreRefused) {
  train();
  write_hf();
  rewrite(out_ / "model.safetensors", [](auto& all) {
    std::fill_n(all.at("model.embed_tokens.weight").bytes.begin(), 4, std::byte{0xff});
  });
  EXPECT_THROW(prove_hf(), Error);
}

TEST_F(FolderProofTest, LoraModulesForVllmAreEqual) {
  train();
  for (const char* base : {"", "someone/tiny"}) {  // brought along, and named
    fs::remove_all(out_);
    make_folders(out_);
    write_vllm(base);
    EXPECT_EQ(path_exists(out_ / "base"), std::string(base).empty());
    const ProofResult r = prove_vllm();
    EXPECT_TRUE(r.holds());
    EXPECT_LT(r.max_kl, 1e-9);
    EXPECT_EQ(r.agreement, 1.0);
  }
}

TEST_F(FolderProofTest, PatternsMadePlainForVllmHold) {
  train(patterned());
  write_vllm();
  const ProofResult r = prove_vllm();
  EXPECT_TRUE(r.holds());
  EXPECT_LT(r.max_kl, 1e-5);
}

TEST_F(FolderProofTest, PatternsThatVllmWouldNotReadAreRefused) {
  train(patterned());
  write_vllm();
  copy_files(trained(), out_ / "adapters" / "tone",
             {"adapter_config.json", "adapter_model.safetensors"});
  EXPECT_THROW(prove_vllm(), Error);
}

TEST_F(FolderProofTest, AnotherScaleForVllmIsFound) {
  train();
  write_vllm();
  replace(out_ / "adapters" / "tone" / "adapter_config.json", "\"lora_alpha\": 16",
          "\"lora_alpha\": 32");
  EXPECT_FALSE(prove_vllm().holds());
}

TEST_F(FolderProofTest, ARankAboveVllmsLimitIsRefused) {
  train();
  write_vllm();
  replace(out_ / "vllm_config.json", "\"max_lora_rank\": 8", "\"max_lora_rank\": 1");
  EXPECT_THROW(prove_vllm(), Error);
}

TEST_F(FolderProofTest, MlxAdaptersAreEqual) {
  LoraOptions dora;
  dora.use_dora = true;
  LoraOptions some = patterned();
  some.target_modules = {"q_proj", "v_proj", "down_proj"};
  for (const LoraOptions& options : {LoraOptions{}, dora, some}) {
    fs::remove_all(out_);
    make_folders(out_);
    train(options);
    write_mlx();
    const ProofResult r = prove_mlx();
    EXPECT_TRUE(r.holds()) << ::testing::PrintToString(r.faults());
    EXPECT_LT(r.max_kl, 1e-5);
  }
}

TEST_F(FolderProofTest, AnMlxMatrixThatIsNotTransposedIsRefused) {
  train();
  write_mlx();
  rewrite(out_ / "tone" / "adapters.safetensors", [](auto& all) {
    Stored& a = all.at("model.layers.0.self_attn.q_proj.lora_a");
    std::swap(a.shape[0], a.shape[1]);
  });
  EXPECT_THROW(prove_mlx(), Error);
}

TEST_F(FolderProofTest, AnotherMlxScaleIsFound) {
  train();
  write_mlx();
  replace(out_ / "tone" / "adapter_config.json", "\"scale\": 2", "\"scale\": 1");
  EXPECT_FALSE(prove_mlx().holds());
}

TEST_F(FolderProofTest, AnMlxTensorThatNoLayerTakesIsRefused) {
  train();
  write_mlx();
  replace(out_ / "tone" / "adapter_config.json", "\"num_layers\": 2", "\"num_layers\": 1");
  EXPECT_THROW(prove_mlx(), Error);
}

TEST_F(FolderProofTest, SwappedMlxTensorsAreFound) {
  train();
  write_mlx();
  rewrite(out_ / "tone" / "adapters.safetensors", [](auto& all) {
    std::swap(all.at("model.layers.0.mlp.up_proj.lora_a").bytes,
              all.at("model.layers.0.mlp.gate_proj.lora_a").bytes);
  });
  EXPECT_FALSE(prove_mlx().holds());
}

TEST_F(FolderProofTest, TheAdapterBesideMergedWeightsIsComparedBitForBit) {
  train();
  const auto same = LoraAdapter::load(trained(), *decoder_);
  EXPECT_EQ(adapter_difference(*adapter_, *same), "");
  rewrite(trained() / "adapter_model.safetensors",
          [](auto& all) { all.begin()->second.bytes[0] ^= std::byte{1}; });
  const auto other = LoraAdapter::load(trained(), *decoder_);
  EXPECT_NE(adapter_difference(*adapter_, *other).find("other numbers in "), std::string::npos);
  ProofResult r;
  r.adapter_difference = "x";
  EXPECT_FALSE(r.holds());
}

TEST_F(FolderProofTest, WrittenTemplatesEqualTheBases) {
  train();
  write_hf();
  const auto parity = folder_template_parity(*format_, out_);
  ASSERT_TRUE(parity.has_value());
  EXPECT_TRUE(parity->holds());
  EXPECT_EQ(parity->num_equal(), 16);
  EXPECT_NO_THROW(require_template(*parity, false));
}

TEST_F(FolderProofTest, AChangedTemplateIsFound) {
  train();
  write_hf();
  write_file_atomic(out_ / "chat_template.jinja",
                    format_->chat_template().source() + "{{ 'Yes: ' }}");
  const auto parity = folder_template_parity(*format_, out_);
  ASSERT_TRUE(parity.has_value());
  EXPECT_FALSE(parity->holds());
  EXPECT_THROW(require_template(*parity, true), ExportFault);
}

TEST_F(FolderProofTest, AFolderWithoutItsTemplateIsFound) {
  copy_base(base_, out_);
  fs::remove(out_ / "chat_template.jinja");
  Json config = parse_json(read_file(out_ / "tokenizer_config.json"));
  Json without = Json::object();
  for (const auto& [key, value] : config.members()) {
    if (key != "chat_template") without.set(key, value);
  }
  write_file_atomic(out_ / "tokenizer_config.json", without.dump());
  const auto parity = folder_template_parity(*format_, out_);
  ASSERT_TRUE(parity.has_value());
  EXPECT_EQ(parity->num_equal(), 0);
  EXPECT_EQ(parity->cases.front().detail, "the export has no template");
}

TEST_F(FolderProofTest, TemplatesOfGgufFilesAreReadThere) {
  GgufModelRequest request;
  request.base = base_;
  request.quant = Quant::kF16;
  request.name = "tiny";
  request.out = out_ / "base.F16.gguf";
  write_gguf_model(request, device_);
  const auto whole = gguf_template_parity(*format_, request.out);
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ(whole->file, "base.F16.gguf");
  EXPECT_EQ(whole->num_equal(), 16);

  const std::string source = format_->chat_template().source();
  const fs::path jinja = out_ / "chat-template.jinja";
  write_file_atomic(jinja, source + "\n");
  EXPECT_TRUE(gguf_template_parity(*format_, request.out, jinja)->faults(false).empty());
  write_file_atomic(jinja, "{{ ' ' }}" + source);
  const auto other = gguf_template_parity(*format_, request.out, jinja);
  EXPECT_EQ(other->faults(true).size(), 6u);  // every plain conversation
  EXPECT_NE(other->faults(true)[0].find("chat-template.jinja"), std::string::npos);

  request.base = folder_ / "other";
  make_folders(request.base);
  copy_base(base_, request.base);
  write_file_atomic(request.base / "chat_template.jinja", "{{ ' ' }}" + source);
  write_gguf_model(request, device_);
  EXPECT_THROW(require_template(*gguf_template_parity(*format_, request.out), true), ExportFault);
}

TEST(ProofLimits, FollowWhatTheAdapterWasTrainedOn) {
  EXPECT_EQ(merged_limits({}), proof_limits(Quant::kF16));
  EXPECT_LT(adapter_limits({}).max_kl, merged_limits({}).max_kl);
  EXPECT_EQ(adapter_limits(BaseFormat::qlora()), proof_limits(Quant::kQ4_K_M));
  EXPECT_EQ(merged_limits(BaseFormat::int8()), proof_limits(Quant::kQ8_0));
}

TEST(ProofLimits, AreReadBackByModule) {
  ProofResult a, b;
  a.module = "a";
  a.limits = {.max_kl = 0.5, .min_agreement = 0.25};
  b.module = "b";
  EXPECT_EQ(stated_limits(proofs_json({a, b}), "a"), a.limits);
  EXPECT_EQ(stated_limits(proofs_json({a, b}), "b"), b.limits);
  EXPECT_EQ(stated_limits(proofs_json({a, b}), "c"), std::nullopt);
  EXPECT_EQ(stated_limits(proofs_json({a}), ""), std::nullopt);
}

}  // namespace
}  // namespace dlm
