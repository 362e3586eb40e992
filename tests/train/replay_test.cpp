// The history in training: what is kept after a run, what of it a run trains, and what must never
// come back.
#include "train/replay.h"

#include <fmt/format.h>

#include "resume_fixture.h"
#include "store/adapter_versions.h"
#include "store/store_lock.h"
#include "train/forget.h"
#include "train/reproduce.h"

namespace dlm {
namespace {

using Runs = std::vector<int64_t>;

constexpr const char* kOtter = "The otter swims at night.\n";
constexpr const char* kHeron = "The heron waits for fish.\n";

// Runs in small: only what they leave in the manifest and in the history.
class HistoryTest : public ::testing::Test {
 protected:
  static Document document(const std::string& body) {
    return parse_document(document_text("", body), "notes.dlm");
  }

  void record(const Document& document, int64_t run_id) {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    record_history(store_, document, manifest_, run_id, format_utc(clock_.unix_seconds()), lock,
                   warner());
  }
  void run(const std::string& body) {
    clock_.advance_ms(3600'000);
    const Document now = document(body);
    const int64_t run_id = manifest_.next_run_id();
    record(now, run_id);
    TrainingRun run;
    run.run_id = run_id;
    run.started_at = format_utc(clock_.unix_seconds());
    run.ended_at = run.started_at;
    manifest_.training_runs.push_back(run);
    manifest_.content_hashes.clear();
    for (const Section& section : now.sections) {
      manifest_.content_hashes[section_id(section)] = section_id(section);
    }
  }
  ReplayWarning warner() {
    return [this](const std::string& w) { warnings_.push_back(w); };
  }
  ReplayHistory history() const { return ReplayHistory::read(store_); }
  ReplaySnapshot kept(const std::string& content) const {
    const ReplayHistory all = history();
    for (const ReplayEntry& entry : all.entries()) {
      if (all.snapshot(entry).content == content) return all.snapshot(entry);
    }
    return {};
  }
  std::vector<std::string> past(const std::string& body) {
    std::vector<std::string> contents;
    const ReplayHistory all = history();
    for (const PastSection& s : past_sections(all, document(body), manifest_, warner())) {
      contents.push_back(fmt::format("{} runs ago: {}", s.num_runs_ago,
                                     all.snapshot(*all.find(s.section_id)).content));
    }
    return contents;
  }

  TemporaryFolder folder_;
  FixedClock clock_{1'776'506'400'000'000};  // 2026-04-18T10:00:00Z
  StoreLayout store_{folder_.path(), kTestId};
  Manifest manifest_;
  std::vector<std::string> warnings_;
};

const std::string kTwo = std::string("::instruction::\n### Q\nWho swims?\n\n### A\nThe otter.\n") +
                         "::prose::\n" + kHeron;
const std::string kOne = "::instruction::\n### Q\nWho swims?\n\n### A\nThe otter.\n";

TEST_F(HistoryTest, KeepsASectionOnceHoweverManyRunsSeeIt) {
  run(kTwo);
  const std::string corpus = read_file(store_.replay_corpus());
  run(kTwo);
  run(kTwo);
  EXPECT_EQ(read_file(store_.replay_corpus()), corpus);
  const ReplaySnapshot heron = kept("The heron waits for fish.");
  EXPECT_EQ(heron.section_type, "prose");
  EXPECT_EQ(heron.training_runs_seen, Runs{1});
  EXPECT_EQ(format_utc(heron.first_seen_at), "2026-04-18T11:00:00");
  EXPECT_EQ(as_last_seen(heron, manifest_).training_runs_seen, (Runs{1, 2, 3}));
}

TEST_F(HistoryTest, KnowsWhenASectionThatLeftWasLastSeen) {
  run(kTwo);
  run(kTwo);
  run(kOne);
  const ReplaySnapshot heron = kept("The heron waits for fish.");
  EXPECT_EQ(heron.training_runs_seen, (Runs{1, 2}));
  EXPECT_EQ(format_utc(heron.first_seen_at), "2026-04-18T11:00:00");
  EXPECT_EQ(format_utc(heron.last_seen_at), "2026-04-18T12:00:00");
  EXPECT_EQ(past(kOne), std::vector<std::string>{"1 runs ago: The heron waits for fish."});
  EXPECT_EQ(past(kTwo), std::vector<std::string>{});
}

TEST_F(HistoryTest, ASectionThatComesBackIsNotKeptTwice) {
  run(kTwo);
  run(kOne);
  run(kTwo);
  EXPECT_EQ(history().entries().size(), 2u);
  const ReplaySnapshot heron = kept("The heron waits for fish.");
  EXPECT_EQ(heron.training_runs_seen, (Runs{1, 3}));
  EXPECT_EQ(format_utc(heron.first_seen_at), "2026-04-18T11:00:00");
  EXPECT_EQ(format_utc(heron.last_seen_at), "2026-04-18T13:00:00");
}

TEST_F(HistoryTest, ARunThatIsRecordedTwiceIsKeptOnce) {
  record(document(kTwo), 1);
  const std::string corpus = read_file(store_.replay_corpus());
  record(document(kTwo), 1);
  EXPECT_EQ(read_file(store_.replay_corpus()), corpus);
}

TEST_F(HistoryTest, KeepsWhatAStoreOfBeforeThereWasAHistoryLacks) {
  run(kTwo);
  remove_path(store_.replay());
  run(kTwo);
  EXPECT_EQ(history().entries().size(), 2u);
}

TEST_F(HistoryTest, KeepsNeitherMediaNorSourcesAndRepeatedSectionsOnce) {
  Document d = document(std::string(kOtter) + "::prose::\n" + kOtter + "::prose::\n" + kOtter);
  Section source;
  source.content = "# source: notes.txt\n\nFrom a tree.\n";
  source.source_path = "notes.txt";
  Section image;
  image.type = SectionType::kImage;
  image.media_path = "otter.png";
  d.sections.push_back(source);
  d.sections.push_back(image);
  record(d, 1);
  const ReplayHistory all = history();
  for (const ReplayEntry& entry : all.entries()) {
    EXPECT_EQ(all.snapshot(entry).content.find("tree"), std::string::npos);
    EXPECT_EQ(all.snapshot(entry).section_type, "prose");
  }
  EXPECT_LE(all.entries().size(), 2u);  // with and without a final line end
}

TEST_F(HistoryTest, BlankSpaceAtTheEndDeletesNothing) {
  run(kOtter);
  // Another section behind it, and so another id for the same text.
  const std::string longer = std::string(kOtter) + "\n::prose::\n" + kHeron;
  run(longer);
  EXPECT_EQ(past(longer), std::vector<std::string>{});
  EXPECT_EQ(past(kHeron).size(), 1u);  // deleted under both ids, it counts once
}

TEST_F(HistoryTest, WhatCannotBeReadIsNamedAndSkipped) {
  run(kTwo);
  std::string bytes = read_file(store_.replay_corpus());
  const ReplayHistory all = history();
  const ReplayEntry& first = all.entries()[0];
  bytes[first.byte_offset] = 'x';
  write_file_atomic(store_.replay_corpus(), bytes);
  EXPECT_EQ(past("Other.\n").size(), 1u);
  EXPECT_EQ(warnings_, std::vector<std::string>{
                           store_.replay_corpus().string() + ": section " + first.section_id +
                           " of the history cannot be read: it is no zstd frame"});
}

TEST_F(HistoryTest, ATextThatIsNotItsIdsIsNotBelieved) {
  ReplaySnapshot forged;
  forged.section_id = "0123456789abcdef";
  forged.section_type = "prose";
  forged.content = "Something else.";
  {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    append_snapshots(store_, {forged}, lock, {});
  }
  EXPECT_TRUE(past("Other.\n").empty());
  EXPECT_EQ(warnings_,
            std::vector<std::string>{"section 0123456789abcdef of the history has another "
                                     "text than its id says"});
}

TEST_F(HistoryTest, DrawsNeitherPreferencesNorWhatIsSwitchedOffNorMoreThanItsShare) {
  std::string body = "::preference::\n### Prompt\nWho?\n### Chosen\nOtter.\n### Rejected\nHeron.\n";
  for (int i = 0; i < 50; ++i) body += fmt::format("::prose::\nOtter {} swims.\n", i);
  run(body);
  const Document now = document("New.\n");
  std::vector<PastSection> all = past_sections(history(), now, manifest_, warner());
  ASSERT_EQ(all.size(), 51u);
  const std::string off = all[3].section_id;
  all[3].weight = 0;
  const auto drawn = draw_replay(history(), all, now, manifest_, 42);
  EXPECT_EQ(drawn.size(), 32u);
  for (const ReplaySnapshot& s : drawn) {
    EXPECT_EQ(s.section_type, "prose");
    EXPECT_NE(s.section_id, off);
  }
  EXPECT_EQ(draw_replay(history(), all, now, manifest_, 42), drawn);
  EXPECT_NE(draw_replay(history(), all, now, manifest_, 43), drawn);
  manifest_.adapter_version = 1;
  EXPECT_EQ(draw_replay(history(), all, now, manifest_, 42), draw_replay(
                                                                 history(), all, now,
                                                                 [&] {
                                                                   Manifest m = manifest_;
                                                                   m.adapter_version = 0;
                                                                   return m;
                                                                 }(),
                                                                 43));
}

TEST_F(HistoryTest, RowsAreMarkedAndNeitherAskNorSayWhatTheDocumentDoes) {
  static const TemporaryFolder bases;
  static const BaseSearch search = write_tiny_bases(bases.path());
  const std::string now =
      "::prose::\nThe otter swims.\n\n::instruction::\n### Q\nWho waits?\n\n### A\nThe heron.\n";
  Prepared p = prepare(document_text("", now), "notes.dlm", std::nullopt, search);
  const size_t num_rows = p.rows.rows.size(), num_outlines = p.outlines.size();
  const auto snapshot = [](const char* id, const char* type, const char* content) {
    ReplaySnapshot s;
    s.section_id = id;
    s.section_type = type;
    s.content = content;
    s.last_seen_at = 1'767'225'600;  // 2026-01-01T00:00:00Z
    return s;
  };
  const auto references = add_replay_rows(
      p,
      {snapshot(
           "876ee20f352437a2", "instruction",
           "### Q\nWho waits?\n\n### A\nThe cat.\n\n### Q\nWho sleeps?\n\n### A\nThe mouse.\n"),
       snapshot("0000000000000001", "prose", "\n\nThe otter swims.\n\n"),
       snapshot("0000000000000002", "instruction", "### Q\nWho sleeps?\n\n### A\nNobody.\n"),
       snapshot("0000000000000003", "instruction", "no header here\n")},
      warner());
  ASSERT_EQ(p.rows.rows.size(), num_rows + 1);
  EXPECT_EQ(p.outlines.size(), num_outlines + 1);
  EXPECT_EQ(p.outlines.back().source, num_rows);
  const DocumentRow& row = p.rows.rows.back();
  EXPECT_EQ(row.answer(), "The mouse.");
  EXPECT_EQ(row.section->id, "replay:876ee20f352437a2:2026-01-01T00:00:00+00:00");
  EXPECT_EQ(row.origin, RowOrigin::kReplay);
  EXPECT_FALSE(is_validation_row(row, 42, 1.0));
  EXPECT_EQ(references.front(), row.section->id);
  EXPECT_EQ(references.size(), 3u);
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_TRUE(warnings_[0].starts_with("section 0000000000000003 of the history is left out: "));
}

// Whole runs, of milliseconds.
class ReplayRunTest : public ResumeTest {
 protected:
  ReplayRunTest() { request_.max_steps = 6; }

  void write_body(const std::string& body) { write_document(kSmallRun, body); }
  // The document loses its second section; the history has it.
  void delete_the_heron() {
    write_body(std::string(kThreeSentences) + "::prose::\n" + kHeron);
    train();
    write_body(kThreeSentences);
    clock_.advance_ms(86'400'000);
  }
  std::string history_reason(const TrainResult& result) {
    for (const std::string& reason : result.plan.reasons) {
      if (reason.starts_with("history: ")) return reason;
    }
    return "";
  }
  Reproduction reproduce(int64_t version) {
    ReproduceRequest request;
    request.document = request_.document;
    request.home = request_.home;
    request.bases = request_.bases;
    request.version = version;
    request.num_threads = 1;
    request.clock = &clock_;
    return reproduce_version(request, {});
  }
  ForgetReport forget(const std::vector<std::string>& ids) {
    const StoreLock lock = StoreLock::acquire(store(), clock_);
    return forget_sections(store(), load_document(request_.document), ids, lock, {});
  }
  std::string heron_id() {
    const ReplayHistory history = ReplayHistory::read(store());
    for (const ReplayEntry& entry : history.entries()) {
      if (history.snapshot(entry).content.find("heron waits") != std::string::npos) {
        return entry.section_id;
      }
    }
    return "";
  }
};

TEST_F(ReplayRunTest, WhatLeftTheDocumentIsNotTrained) {
  delete_the_heron();
  const TrainResult result = train();
  EXPECT_EQ(history_reason(result),
            "history: 1 section left the document, not trained without --replay-deleted");
  // As if it had never been there.
  EXPECT_EQ(result.adapter_sha256, straight(6).adapter_sha256);
}

TEST_F(ReplayRunTest, FreshSaysThatItLeavesTheHistoryOut) {
  delete_the_heron();
  request_.fresh = true;
  EXPECT_EQ(history_reason(train()),
            "history: 1 section left the document, not trained without --replay-deleted");
}

TEST_F(ReplayRunTest, FreshForgetsAStoppedRunAtOnce) {
  stop_at(3);
  ASSERT_TRUE(has_checkpoint(store(), {}));
  request_.fresh = true;
  TrainEvents events;
  events.on_plan = [](const TrainingPlan&) { raise_interrupt(); };  // before its first step
  EXPECT_EQ(fault(events), "interrupted");
  EXPECT_FALSE(has_checkpoint(store(), {}));
}

TEST_F(ReplayRunTest, TrainsItWhenAskedAndAgainWithTheSameBytes) {
  delete_the_heron();
  request_.replay_deleted = true;
  const TrainResult result = train();
  EXPECT_EQ(history_reason(result),
            "history: 1 section left the document, 1 trained: --replay-deleted");
  EXPECT_NE(result.adapter_sha256, straight(6).adapter_sha256);
  const Json record = parse_json(read_file(store().version(2) / kTrainingRunFile));
  ASSERT_EQ(record.at("replayed").size(), 1u);
  EXPECT_EQ(record.at("replayed").items()[0].as_string(),
            "replay:" + heron_id() + ":2026-04-18T10:00:00+00:00");
  // Its section comes back and leaves again: the version still trains as it did.
  clock_.advance_ms(86'400'000);
  request_.replay_deleted = false;
  write_body(std::string(kThreeSentences) + "::prose::\n" + kHeron);
  train();
  write_body("Something else altogether, about mills and their wheels in the river.\n");
  train();
  EXPECT_TRUE(reproduce(2).is_same);
}

TEST_F(ReplayRunTest, DoesNotLookAtTheClock) {
  delete_the_heron();
  request_.replay_deleted = true;
  const fs::path copy = folder_ / "copy";
  fs::copy(request_.home, copy, fs::copy_options::recursive);
  const std::string now = train().adapter_sha256;
  request_.home = copy;
  clock_.advance_ms(int64_t{1000} * 86'400'000);
  EXPECT_EQ(train().adapter_sha256, now);
}

TEST_F(ReplayRunTest, AStoppedRunGoesOnWithTheSameRows) {
  delete_the_heron();
  const fs::path copy = folder_ / "copy";
  fs::copy(request_.home, copy, fs::copy_options::recursive);
  request_.replay_deleted = true;
  const std::string whole = train().adapter_sha256;
  request_.home = copy;
  stop_at(2);
  request_.replay_deleted = false;
  EXPECT_EQ(resume().adapter_sha256, whole);
}

TEST_F(ReplayRunTest, ARunWhoseSectionWasForgottenCannotGoOn) {
  delete_the_heron();
  request_.replay_deleted = true;
  stop_at(2);
  const std::string id = heron_id();
  forget({id});
  request_.replay_deleted = false;
  EXPECT_EQ(resume_fault(),
            "HERE/home/store/01KPG0GVBVZZZZZZZZZZZZZZZZ/replay: the run trained "
            "section " +
                id + " of the history, which is no longer there");
}

TEST_F(ReplayRunTest, ForgettingRemovesTheTextFromTheWholeStore) {
  delete_the_heron();
  write_file_atomic(store().root() / "tokenized-cache", "tokens of the heron");
  const std::string id = heron_id();
  const ForgetReport report = forget({id});
  EXPECT_EQ(report.sections, std::vector<std::string>{id});
  EXPECT_EQ(report.versions, std::vector<std::string>{"adapter/versions/v0001"});
  for (const auto& file : fs::recursive_directory_iterator(store().root())) {
    if (!file.is_regular_file()) continue;
    EXPECT_EQ(read_file(file.path()).find("heron waits"), std::string::npos) << file.path();
  }
  EXPECT_EQ(heron_id(), "");
  EXPECT_EQ(ReplayHistory::read(store()).entries().size(), 1u);
  try {
    reproduce(1);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the version has no copy of its document");
  }
  // The store goes on: the next version has its copy again.
  const TrainResult next = train();
  EXPECT_EQ(history_reason(next), "");
  EXPECT_TRUE(reproduce(next.adapter_version).is_same);
}

TEST_F(ReplayRunTest, WhatTheDocumentHasCannotBeForgotten) {
  delete_the_heron();
  const std::string id = heron_id();
  write_body(std::string(kThreeSentences) + "::prose::\n" + kHeron);
  EXPECT_THROW(forget({id}), Error);
  EXPECT_EQ(heron_id(), id);
  try {
    forget({"ffffffffffffffff"});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "the history has no section \"ffffffffffffffff\"");
  }
}

TEST_F(ReplayRunTest, ABrokenIndexIsToldBeforeTheFirstStep) {
  delete_the_heron();
  write_file_atomic(store().replay_index(), "[");
  EXPECT_TRUE(fault().starts_with(
      "HERE/home/store/01KPG0GVBVZZZZZZZZZZZZZZZZ/replay/index.json: replay index is corrupt: "));
  EXPECT_EQ(current_version_number(store()), 1);
}

}  // namespace
}  // namespace dlm
