// dlm.lock: its text, the severity of each change with the exact message, and the four modes.
#include "store/lock_file.h"

#include <functional>

#include "store_fixture.h"

namespace dlm {
namespace {

const std::string kHashA(64, 'a'), kHashB(64, 'b');

LockFile example() {
  LockFile lock;
  lock.created_at = "2026-04-18T10:00:00.000001Z";
  lock.dlm_id = kTestId;
  lock.dlm_sha256 = kHashA;
  lock.base_model_revision = "r1";
  lock.pinned_versions = {{"dlm", "0.1.0"}, {"torch", std::nullopt}, {"onednn", "2.6.0"}};
  lock.seed = 42;
  lock.last_run_id = 3;
  return lock;
}

constexpr const char* kText = R"({
  "base_model_revision": "r1",
  "base_model_sha256": null,
  "created_at": "2026-04-18T10:00:00.000001Z",
  "cuda_version": null,
  "determinism_class": "strong",
  "determinism_flags": {},
  "dlm_id": "01KPG0GVBVZZZZZZZZZZZZZZZZ",
  "dlm_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "hardware_tier": "cpu",
  "last_run_id": 3,
  "license_acceptance": null,
  "lock_version": 1,
  "pinned_versions": {
    "dlm": "0.1.0",
    "onednn": "2.6.0",
    "torch": null
  },
  "rocm_version": null,
  "seed": 42,
  "world_size": 1
}
)";

std::string refusal(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  try {
    parse_lock_file(text, "dlm.lock");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kStore);
    return error.what();
  }
  return "no error";
}

TEST(LockFile, WritesSortedTextAndReadsItBack) {
  EXPECT_EQ(lock_file_text(example()), kText);
  EXPECT_EQ(parse_lock_file(kText, "x"), example());
}

TEST(LockFile, EscapesEverythingBeyondAscii) {
  LockFile lock = example();
  lock.base_model_revision = "é";
  EXPECT_NE(lock_file_text(lock).find(R"("base_model_revision": "\u00e9")"), std::string::npos);
}

TEST(LockFile, PinsOwnKeysBesideTheKnownOnesAsNull) {
  EXPECT_EQ(json_of(own_pinned_versions("0.1.0", "2.6.0", "avx512_bf16")).dump(),
            R"({"bitsandbytes":null,"dlm":"0.1.0","instruction_set":"avx512_bf16",)"
            R"("onednn":"2.6.0","peft":null,"sway":null,"torch":null,"transformers":null,)"
            R"("trl":null})");
}

TEST(LockFile, SaysWhatIsNotValid) {
  EXPECT_EQ(refusal(kText, "\"lock_version\": 1", "\"lock_version\": 2"),
            "dlm.lock: lock file is not valid: unsupported lock_version 2");
  EXPECT_EQ(refusal(kText, "\"cpu\"", "\"tpu\""),
            "dlm.lock: lock file is not valid: hardware_tier: expected one of cuda-sm80+, "
            "cuda-sm<80, mps, cpu, rocm, found \"tpu\"");
  EXPECT_EQ(refusal(kText, "\"strong\"", "\"strict\""),
            "dlm.lock: lock file is not valid: determinism_class: expected one of strong, "
            "best-effort, advisory, found \"strict\"");
  EXPECT_EQ(
      refusal(kText, kHashA, "AA"),
      "dlm.lock: lock file is not valid: dlm_sha256: expected 64 lower-case hex digits, found "
      "\"AA\"");
  EXPECT_EQ(refusal(kText, "\"seed\"", "\"sead\""),
            "dlm.lock: lock file is not valid: seed: expected an integer, found nothing");
  EXPECT_EQ(refusal(kText, "\"world_size\": 1", "\"world_size\": 1, \"x\": 1"),
            "dlm.lock: lock file is not valid: x: unknown key");
  EXPECT_EQ(refusal("{\n,", ",", ","),
            "dlm.lock:2:1: lock file is not valid: invalid JSON: syntax error while parsing object "
            "key - unexpected ','; expected string literal");
  EXPECT_EQ(refusal("[]", "[]", "[]"),
            "dlm.lock: lock file is not valid: the top level: expected an object");
}

// One change each: what is changed, the severity, the message.
struct Change {
  std::function<void(LockFile& before, LockFile& now)> make;
  Severity severity;
  const char* message;
};

TEST(LockFile, RatesEveryChange) {
  const auto pin = [](const char* key, std::optional<std::string> from,
                      std::optional<std::string> to) {
    return [=](LockFile& before, LockFile& now) {
      before.pinned_versions[key] = from;
      now.pinned_versions[key] = to;
    };
  };
  const LicenseAcceptance license{"2026-04-18T10:00:00", "u1", "MIT", "cli_flag"};
  const Change changes[] = {
      {[](auto&, auto& now) { now.dlm_sha256 = kHashB; }, Severity::kAllow,
       "dlm_sha256 changed (aaaaaaaaaaaa… → bbbbbbbbbbbb…)"},
      {[](auto&, auto& now) { now.base_model_revision = "r2"; }, Severity::kError,
       "base_model_revision changed (r1 → r2); re-run with --update-lock to accept"},
      {[](auto& before, auto& now) {
         before.base_model_sha256 = kHashA;
         now.base_model_sha256 = kHashB;
       },
       Severity::kError, "base_model_sha256 changed (aaaaaaaaaaaa… → bbbbbbbbbbbb…)"},
      {[](auto&, auto& now) { now.hardware_tier = "mps"; }, Severity::kWarn,
       "hardware_tier changed (cpu → mps)"},
      {[](auto&, auto& now) { now.determinism_class = "advisory"; }, Severity::kWarn,
       "determinism_class changed (strong → advisory)"},
      {[](auto&, auto& now) { now.determinism_flags.set("a", 1); }, Severity::kWarn,
       "determinism_flags changed ({} → {\"a\":1})"},
      {pin("torch", std::nullopt, "2.1.0"), Severity::kWarn, "torch newly pinned (2.1.0)"},
      {pin("torch", "2.1.0", std::nullopt), Severity::kWarn, "torch no longer pinned (was 2.1.0)"},
      {pin("torch", "1.13.1", "2.1.0"), Severity::kError,
       "torch major-version mismatch (1.13.1 → 2.1.0)"},
      {pin("torch", "2.1.0", "2.1.0+cu121"), Severity::kWarn,
       "torch minor-version drift (2.1.0 → 2.1.0+cu121)"},
      {pin("torch", "2.1.0", "nightly"), Severity::kWarn,
       "torch version changed (unparseable: 2.1.0 → nightly)"},
      {pin("torch", "2nd", "3.0"), Severity::kWarn,
       "torch version changed (unparseable: 2nd → 3.0)"},
      {pin("bitsandbytes", "0.43", "0.44"), Severity::kWarn,
       "bitsandbytes changed ('0.43' → '0.44')"},
      {[](auto&, auto& now) { now.seed = 7; }, Severity::kWarn, "seed changed (42 → 7)"},
      {[](auto&, auto& now) { now.cuda_version = "12.1"; }, Severity::kWarn,
       "cuda_version changed (none → 12.1)"},
      {[](auto& before, auto&) { before.rocm_version = "6"; }, Severity::kWarn,
       "rocm_version changed (6 → none)"},
      {[=](auto&, auto& now) { now.license_acceptance = license; }, Severity::kWarn,
       "license_acceptance newly recorded (MIT)"},
      {[=](auto& before, auto&) { before.license_acceptance = license; }, Severity::kWarn,
       "license_acceptance cleared (was MIT)"},
      {[=](auto& before, auto& now) {
         before.license_acceptance = now.license_acceptance = license;
         now.license_acceptance->license_spdx = "Other";
         now.license_acceptance->license_url = "u2";
       },
       Severity::kWarn, "license_acceptance spdx changed (MIT → Other)"},
      {[=](auto& before, auto& now) {
         before.license_acceptance = now.license_acceptance = license;
         now.license_acceptance->license_url = "u2";
       },
       Severity::kWarn, "license_acceptance url changed (u1 → u2)"},
      {[](auto&, auto& now) { now.world_size = 2; }, Severity::kWarn, "world_size changed (1 → 2)"},
      {pin("peft", "0.10", std::nullopt), Severity::kWarn, "peft no longer pinned (was 0.10)"},
      {pin("llama_cpp", "b1", "b2"), Severity::kWarn, "llama_cpp changed ('b1' → 'b2')"},
      {pin("dlm", "0.1.0", "0.2.0"), Severity::kWarn, "dlm changed ('0.1.0' → '0.2.0')"},
      {pin("onednn", "2.6.0", "3.0.0"), Severity::kWarn, "onednn changed ('2.6.0' → '3.0.0')"},
      {pin("instruction_set", std::nullopt, "avx2"), Severity::kWarn,
       "instruction_set newly pinned (avx2)"},
  };
  for (const Change& change : changes) {
    LockFile before = example(), now = example();
    change.make(before, now);
    const auto mismatches = compare_lock_files(before, now);
    ASSERT_EQ(mismatches.size(), 1u) << change.message;
    EXPECT_EQ(mismatches[0].message, change.message);
    EXPECT_EQ(mismatches[0].severity, change.severity) << change.message;
  }
}

TEST(LockFile, LetsIdsTimesAndOneSidedHashesPass) {
  LockFile now = example();
  now.dlm_id = "other";
  now.created_at = "2027-01-01T00:00:00Z";
  now.last_run_id = 9;
  now.base_model_sha256 = kHashA;
  now.pinned_versions["sway"] = "1";
  EXPECT_TRUE(compare_lock_files(example(), now).empty());
}

class LockFileModes : public StoreTest {
 protected:
  void SetUp() override { make_folders(store_.root()); }
  LockDecision decide(LockMode mode, const LockFile& now) const {
    return check_lock_file(store_.dlm_lock(), now, mode);
  }
};

using Action = LockDecision::Action;

TEST_F(LockFileModes, TheFirstRunProceedsAndWrites) {
  const LockDecision decision = decide(LockMode::kStrict, example());
  EXPECT_EQ(decision.action, Action::kProceed);
  EXPECT_TRUE(decision.should_write);
}

TEST_F(LockFileModes, AnEditedDocumentProceedsInEveryMode) {
  write_lock_file(store_.dlm_lock(), example());
  LockFile now = example();
  now.dlm_sha256 = kHashB;
  EXPECT_EQ(decide(LockMode::kDefault, now).action, Action::kProceed);
  EXPECT_EQ(decide(LockMode::kStrict, now).action, Action::kProceed);
}

TEST_F(LockFileModes, WarningsAreToldByDefaultAndAbortWhenStrict) {
  write_lock_file(store_.dlm_lock(), example());
  LockFile now = example();
  now.seed = 7;
  EXPECT_EQ(decide(LockMode::kDefault, now).action, Action::kProceedWithWarnings);
  EXPECT_TRUE(decide(LockMode::kDefault, now).should_write);
  const LockDecision strict = decide(LockMode::kStrict, now);
  EXPECT_EQ(strict.action, Action::kAbort);
  EXPECT_FALSE(strict.should_write);
  EXPECT_EQ(decide(LockMode::kUpdate, now).action, Action::kProceed);
  EXPECT_TRUE(decide(LockMode::kUpdate, now).mismatches.empty());
  EXPECT_FALSE(decide(LockMode::kIgnore, now).should_write);
}

TEST_F(LockFileModes, AnAbortNamesAllChangesAndTheWaysOut) {
  write_lock_file(store_.dlm_lock(), example());
  LockFile now = example();
  now.dlm_sha256 = kHashB;
  now.base_model_revision = "r2";
  now.seed = 7;
  const LockDecision decision = decide(LockMode::kDefault, now);
  EXPECT_EQ(fault([&] { require_lock(decision, store_.dlm_lock()); }),
            "STORE/dlm.lock: lock validation failed (dlm_sha256 changed (aaaaaaaaaaaa… → "
            "bbbbbbbbbbbb…); base_model_revision changed (r1 → r2); re-run with --update-lock to "
            "accept; seed changed (42 → 7))");
  EXPECT_NO_THROW(require_lock(decide(LockMode::kUpdate, now), store_.dlm_lock()));
}

TEST_F(LockFileModes, OnlyUpdateRescuesAFileThatCannotBeRead) {
  write_file_atomic(store_.dlm_lock(), "{");
  for (LockMode mode : {LockMode::kDefault, LockMode::kStrict, LockMode::kIgnore}) {
    EXPECT_THROW(decide(mode, example()), Error);
  }
  EXPECT_EQ(decide(LockMode::kUpdate, example()).action, Action::kProceed);
}

}  // namespace
}  // namespace dlm
