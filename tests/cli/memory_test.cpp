// Memory as a user meets it: a run holds what its plan said, --max-mem makes it smaller and changes
// no byte, and a limit that nothing fits is refused.
#include "cli/cli_fixture.h"
#include "cli/size.h"
#include "support/error.h"
#include "support/json.h"

namespace dlm {
namespace {

class MemoryTest : public CliTest {
 protected:
  MemoryTest() {
    // The bundled base: the tiny one of other tests is smaller than the program.
    options_.environment["DLM_BASES"] = std::string(DLM_SOURCE_ROOT) + "/assets";
    options_.environment["DLM_THREADS"] = "2";
    std::string body = "::instruction::\n";
    for (int i = 0; i < 16; ++i) {
      const std::string n = std::to_string(i);
      body += "### Q\nWhat does river number " + n + " do when it rains?\n\n### A\nRiver " + n +
              " rises, and falls again after some days of dry weather in the hills above.\n\n";
    }
    write_document(body);
  }

  struct Trained {
    Json json;
    double peak_bytes = 0;
  };
  Trained train(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"train", document().string(), "--max-steps", "2", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return {parse_json(result.out, "output"), static_cast<double>(result.peak_bytes)};
  }
};

TEST_F(MemoryTest, ARunHoldsWhatItsPlanSaid) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "skipped: AddressSanitizer holds memory of its own";
#endif
  const Trained whole = train();
  const double planned = whole.json.at("plan").at("est_peak_gb").as_double() * 1e9;
  EXPECT_GT(whole.peak_bytes, 5e7);
  EXPECT_NEAR(planned / whole.peak_bytes, 1.0, 0.1)
      << planned / 1e6 << " MB planned, " << whole.peak_bytes / 1e6 << " MB held";
}

TEST_F(MemoryTest, ALimitMakesItSmallerAndChangesNoByte) {
  const Trained whole = train();
  const double planned = whole.json.at("plan").at("est_peak_gb").as_double() * 1e9;
  const std::string limit = std::to_string(static_cast<int64_t>(0.8 * planned));
  const Trained limited = train({"--max-mem", limit});
  EXPECT_NE(limited.json.at("plan").at("micro_batch_tokens").dump() +
                limited.json.at("plan").at("recompute").dump(),
            whole.json.at("plan").at("micro_batch_tokens").dump() +
                whole.json.at("plan").at("recompute").dump());
  EXPECT_LT(limited.peak_bytes, whole.peak_bytes);
  EXPECT_EQ(limited.json.at("adapter_sha256").dump(), whole.json.at("adapter_sha256").dump());
}

TEST_F(MemoryTest, ALimitThatNothingFitsIsRefused) {
  const ProgramResult result = run({"train", document().string(), "--max-mem", "30M"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find(" MiB of memory, 30 MiB are allowed"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("no shorter rows would fit: "), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(store()));
}

TEST(ParseSize, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_size("123456", "--max-mem"), 123456u);
  EXPECT_EQ(parse_size("900M", "--max-mem"), uint64_t{900} << 20);
  EXPECT_EQ(parse_size("1.5g", "--max-mem"), uint64_t{3} << 29);
  EXPECT_EQ(parse_size("2GiB", "--max-mem"), uint64_t{2} << 30);
  EXPECT_EQ(parse_size("4KB", "--max-mem"), 4096u);
  EXPECT_EQ(parse_size("1T", "--max-mem"), uint64_t{1} << 40);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text : {"", "M", "-1G", "0", "1X", "1 G", "1Gi", "iB", "nan", "inf", "1e400",
                           "99999999999T", "1GG", "0x10"}) {
    try {
      parse_size(text, "--max-mem");
      ADD_FAILURE() << text << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_EQ(error.message(), "--max-mem \"" + std::string(text) + "\" is not a size");
    }
  }
}

}  // namespace
}  // namespace dlm
