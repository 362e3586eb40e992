// Proofs hold for what was exported right, and fail for what was not.
#include "export/proof.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "export/exported_gguf.h"
#include "export/gguf_model.h"
#include "formats/gguf.h"
#include "support/error.h"
#include "support/hash.h"
#include "temporary_folder.h"
#include "tiny_base.h"

namespace dlm {
namespace {

class ProofTest : public testing::Test {
 protected:
  ProofTest() : base_(folder_ / "base") {
    write_tiny_base(base_);
    decoder_ = Decoder::load(base_, DType::kF32);
    format_ = std::make_unique<ChatFormat>(ChatFormat::load(base_));
    for (const auto& [question, answer] :
         {std::pair("What swims?", "The otter swims in the river."),
          std::pair("What stands?", "The heron stands in the water."),
          std::pair("What is cold?", "The river, in the winter.")}) {
      rows_.push_back(format_->conversation(question, answer, std::nullopt));
      rows_.back().id = rows_.size() * 7919 % 5;
      questions_.push_back({question, answer});
    }
  }

  // A file of the base alone.
  fs::path exported(Quant quant) {
    GgufModelRequest request;
    request.base = base_;
    request.quant = quant;
    request.name = "tiny";
    request.out = folder_ / (std::string(quant_name(quant)) + ".gguf");
    write_gguf_model(request, device_);
    return request.out;
  }

  ProofRequest request(const fs::path& gguf, Quant quant) {
    ProofRequest r;
    r.decoder = decoder_.get();
    r.format = format_.get();
    exported_ = std::make_unique<ExportedGguf>(gguf, fs::path());
    r.exported = exported_.get();
    r.quant = quant;
    r.limits = proof_limits(quant);
    r.rows = rows_;
    r.questions = questions_;
    return r;
  }

  TemporaryFolder folder_;
  fs::path base_;
  Device device_{2};
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<ChatFormat> format_;
  std::vector<TokenRow> rows_;
  std::vector<ProofQuestion> questions_;
  std::unique_ptr<ExportedGguf> exported_;
};

TEST_F(ProofTest, AWholeFileAgreesInEverything) {
  const fs::path file = exported(Quant::kBF16);  // the base's own type
  const ProofResult r = prove_export(request(file, Quant::kBF16), device_);
  EXPECT_TRUE(r.holds());
  EXPECT_EQ(r.rows, 3);
  int64_t labels = 0;
  for (const TokenRow& row : rows_) labels += row.num_labels();
  EXPECT_EQ(r.tokens, labels);
  EXPECT_EQ(r.agreement, 1.0);
  EXPECT_LT(r.max_kl, 1e-4);
  EXPECT_NEAR(r.trained_perplexity, r.exported_perplexity, 1e-2 * r.trained_perplexity);
  EXPECT_EQ(r.texts, 5);  // three rows and two prompts
  EXPECT_EQ(r.same_texts, 5);
  ASSERT_EQ(r.answers.size(), 2u);
  EXPECT_TRUE(r.answers[0].is_same_prompt);
  EXPECT_EQ(r.answers[0].trained, r.answers[0].exported);
}

TEST_F(ProofTest, GivesTheSameBytesAgainWithoutTimeOrPath) {
  const fs::path file = exported(Quant::kQ8_0);
  const std::string once = proof_json(prove_export(request(file, Quant::kQ8_0), device_)).dump(2);
  std::reverse(rows_.begin(), rows_.end());
  Device alone(1);
  const std::string again = proof_json(prove_export(request(file, Quant::kQ8_0), alone)).dump(2);
  EXPECT_EQ(once, again);
  EXPECT_EQ(once.find(folder_.path().string()), std::string::npos);
  EXPECT_NE(once.find("\"holds\": true"), std::string::npos) << once;
}

TEST_F(ProofTest, BlocksDivergeALittle) {
  const ProofResult r = prove_export(request(exported(Quant::kQ4_K_M), Quant::kQ4_K_M), device_);
  EXPECT_GT(r.mean_kl, 0.0);
  EXPECT_GE(r.max_kl, r.p99_kl);
  EXPECT_GE(r.max_kl, r.mean_kl);
}

TEST_F(ProofTest, FailsWhereAWeightIsNotTheTrainedOne) {
  const fs::path file = exported(Quant::kF16);
  const GgufFile parsed = GgufFile::open(file);
  const GgufTensor& values = *parsed.find_tensor("blk.1.ffn_down.weight");
  const auto begin =
      static_cast<std::streamoff>(values.bytes.data() - parsed.file()->bytes().data());
  const size_t size = values.bytes.size();
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(begin);
  for (size_t i = 0; i < size / 2; ++i) out.write(i % 2 == 0 ? "\x00\x3c" : "\x00\xbc", 2);
  out.close();
  const ProofResult r = prove_export(request(file, Quant::kF16), device_);
  EXPECT_FALSE(r.holds());
  EXPECT_GT(r.mean_kl, 0.05);
  ASSERT_FALSE(r.faults().empty());
  EXPECT_NE(r.faults()[0].find("the mean divergence is"), std::string::npos);
}

TEST_F(ProofTest, RefusesAFileWithNumbersThatAreNotFinite) {
  const fs::path file = exported(Quant::kF16);
  const GgufFile parsed = GgufFile::open(file);
  const GgufTensor& values = *parsed.find_tensor("blk.0.attn_v.weight");
  const auto begin =
      static_cast<std::streamoff>(values.bytes.data() - parsed.file()->bytes().data());
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(begin + 20);
  out.write("\x00\x7c", 2);
  out.close();
  try {
    prove_export(request(file, Quant::kF16), device_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_EQ(error.message(),
              "the tensor \"blk.0.attn_v.weight\" holds a number that is not finite");
  }
}

TEST_F(ProofTest, RefusesADocumentWithoutRows) {
  ProofRequest r = request(exported(Quant::kF16), Quant::kF16);
  r.rows = {};
  try {
    prove_export(r, device_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kExport);
  }
}

TEST_F(ProofTest, KeepsToItsBudget) {
  ProofRequest r = request(exported(Quant::kF16), Quant::kF16);
  r.max_tokens = static_cast<int64_t>(rows_[0].tokens.size());
  r.max_questions = 0;
  const ProofResult result = prove_export(r, device_);
  EXPECT_LT(result.tokens, r.max_tokens);
  EXPECT_GT(result.tokens, 0);
  EXPECT_TRUE(result.answers.empty());
}

TEST_F(ProofTest, OneRowOfSeveralDoesNotTakeTheBudgetAlone) {
  ProofRequest r = request(exported(Quant::kF16), Quant::kF16);
  r.max_questions = 0;
  std::sort(rows_.begin(), rows_.end(),
            [](const TokenRow& a, const TokenRow& b) { return a.id < b.id; });
  r.rows = rows_;
  r.max_row_tokens = static_cast<int64_t>(*rows_[0].loss_begin) + 1;
  const ProofResult cut = prove_export(r, device_);
  r.rows = std::vector<TokenRow>{rows_[0]};
  const ProofResult alone = prove_export(r, device_);
  EXPECT_EQ(alone.tokens, rows_[0].num_labels()) << "all of the only row";
  EXPECT_LT(cut.tokens, rows_[0].num_labels() + rows_[1].num_labels() + rows_[2].num_labels());
}

// The budget ends within every prompt.
TEST_F(ProofTest, TakesTheRowWithTheShortestOfLongPrompts) {
  ProofRequest r = request(exported(Quant::kF16), Quant::kF16);
  r.max_questions = 0;
  r.max_tokens = 2;
  r.max_row_tokens = 2;
  const ProofResult result = prove_export(r, device_);
  EXPECT_EQ(result.rows, 1);
  // The prompt's last token and two of the answer's have a labelled successor.
  EXPECT_EQ(result.tokens, 3);
}

TEST_F(ProofTest, LeavesOutARowThatIsCutWithinItsPrompt) {
  ProofRequest r = request(exported(Quant::kQ8_0), Quant::kQ8_0);
  std::sort(rows_.begin(), rows_.end(),
            [](const TokenRow& a, const TokenRow& b) { return a.id < b.id; });
  r.rows = rows_;
  // The second row fits up to the last token of its prompt but one.
  const auto first = static_cast<int64_t>(rows_[0].tokens.size());
  r.max_tokens = first + *rows_[1].loss_begin - 1;
  const ProofResult cut = prove_export(r, device_);
  EXPECT_EQ(cut.rows, 1);
  EXPECT_EQ(cut.tokens, rows_[0].num_labels());
  // And now to the first token of its answer, which the prompt's last one predicts.
  r.max_tokens = first + *rows_[1].loss_begin;
  const ProofResult whole = prove_export(r, device_);
  EXPECT_EQ(whole.rows, 2);
  EXPECT_EQ(whole.tokens, rows_[0].num_labels() + 1);
}

TEST_F(ProofTest, TakesTheDigestsOfWhoeverWroteTheFile) {
  const fs::path file = exported(Quant::kQ8_0);
  const std::string read = ExportedGguf(file, {}).files().at(0).sha256;
  EXPECT_EQ(read, sha256_file_hex(file));
  const std::vector<ProvedFile> known = ExportedGguf(file, {}, {{"a", "b"}}).files();
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known[0].sha256, "b");
}

TEST(Proof, NamesEachFault) {
  ProofResult r;
  r.limits = {.max_kl = 0.1, .min_agreement = 0.9, .min_same_texts = 0.9};
  r.mean_kl = 0.25;
  r.agreement = 0.5;
  r.tokens = 36;
  r.texts = 4;
  r.same_texts = 3;
  EXPECT_EQ(r.faults(), (std::vector<std::string>{
                            "the mean divergence is 0.2500, the limit 0.1",
                            "50.0% of 36 tokens have the same likeliest successor, the limit is "
                            "90%, less 10.0 for chance",
                            "1 of 4 texts become other tokens"}));
  r.same_texts = 4;
  r.mean_kl = 0.009;  // ties
  EXPECT_TRUE(r.holds());
  r.mean_kl = 0.02;
  EXPECT_FALSE(r.holds());
  r.mean_kl = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(r.faults().size(), 2u);
}

TEST(Proof, AllowsOfFewTokensWhatChanceDoes) {
  ProofResult r;
  r.limits = {.max_kl = 0.1, .min_agreement = 0.9, .min_same_texts = 0.9};
  r.mean_kl = 0.05;
  r.tokens = 36;
  r.agreement = 29.0 / 36;  // two standard errors are a tenth
  EXPECT_TRUE(r.holds());
  r.agreement = 28.0 / 36;
  EXPECT_FALSE(r.holds());
  r.tokens = 3600;
  r.agreement = 0.885;
  EXPECT_FALSE(r.holds());
  r.limits.min_agreement = 1;
  r.agreement = 3599.0 / 3600;
  EXPECT_FALSE(r.holds()) << "all is all";
}

}  // namespace
}  // namespace dlm
