// The two files of the history: their bytes, what a killed writer leaves, and what is lost or
// damaged.
#include "store/replay_corpus.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "store_fixture.h"
#include "support/file_faults.h"

namespace dlm {
namespace {

class ReplayCorpus : public StoreTest {
 protected:
  static ReplaySnapshot section(int number, const std::string& content = {}) {
    ReplaySnapshot s;
    s.section_id = fmt::format("{:016x}", number);
    s.section_type = "prose";
    s.content = content.empty() ? fmt::format("Section {}.\n", number) : content;
    s.first_seen_at = s.last_seen_at = 1'776'506'400 + number;
    s.training_runs_seen = {number};
    return s;
  }

  void append(const std::vector<ReplaySnapshot>& snapshots) {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    append_snapshots(store_, snapshots, lock,
                     [&](const std::string& w) { warnings_.push_back(w); });
  }
  void rewrite(const std::vector<ReplayEntry>& kept) {
    const StoreLock lock = StoreLock::acquire(store_, clock_);
    rewrite_history(store_, kept, lock, [&](const std::string& w) { warnings_.push_back(w); });
  }
  // Every section of the history, read whole.
  std::vector<ReplaySnapshot> all() const {
    const ReplayHistory history = ReplayHistory::read(store_);
    std::vector<ReplaySnapshot> snapshots;
    for (const ReplayEntry& entry : history.entries()) {
      snapshots.push_back(history.snapshot(entry));
    }
    return snapshots;
  }
  std::string corpus() const { return read_file(store_.replay_corpus()); }

  std::vector<std::string> warnings_;
};

TEST_F(ReplayCorpus, IsEmptyWhereNothingWasWritten) {
  const ReplayHistory history = ReplayHistory::read(store_);
  EXPECT_TRUE(history.entries().empty());
  EXPECT_EQ(history.file_bytes(), 0u);
  append({});
  EXPECT_FALSE(path_exists(store_.replay()));
}

TEST_F(ReplayCorpus, IsFramesOneBehindTheOtherAndASortedIndex) {
  append({section(2), section(1)});
  append({section(3)});
  const std::string two = encode_frame(section(2)), one = encode_frame(section(1)),
                    three = encode_frame(section(3));
  EXPECT_EQ(corpus(), two + one + three);
  EXPECT_EQ(read_file(store_.replay_index()),
            fmt::format(R"([
  {{
    "added_at": "2026-04-18T10:00:01",
    "byte_offset": {},
    "length": {},
    "section_id": "0000000000000001",
    "weight": 1.0
  }},
  {{
    "added_at": "2026-04-18T10:00:02",
    "byte_offset": 0,
    "length": {},
    "section_id": "0000000000000002",
    "weight": 1.0
  }},
  {{
    "added_at": "2026-04-18T10:00:03",
    "byte_offset": {},
    "length": {},
    "section_id": "0000000000000003",
    "weight": 1.0
  }}
]
)",
                        two.size(), one.size(), two.size(), two.size() + one.size(), three.size()));
  EXPECT_EQ(all(), (std::vector<ReplaySnapshot>{section(1), section(2), section(3)}));
}

TEST_F(ReplayCorpus, AnotherFrameTakesThePlaceOfTheFormerAndKeepsItsWeight) {
  append({section(1), section(2)});
  write_file_atomic(store_.replay_index(), [&] {
    auto entries = parse_replay_index(read_file(store_.replay_index()), "index");
    entries[0].weight = 0.25;
    return replay_index_text(entries);
  }());
  ReplaySnapshot again = section(1);
  again.last_seen_at += 100;
  again.training_runs_seen = {1, 7};
  append({again});
  const ReplayHistory history = ReplayHistory::read(store_);
  ASSERT_EQ(history.entries().size(), 2u);
  EXPECT_EQ(history.entries()[0].weight, 0.25);
  EXPECT_EQ(history.entries()[0].added_at, again.last_seen_at);
  EXPECT_EQ(history.snapshot(history.entries()[0]), again);
  EXPECT_GT(history.file_bytes(), history.live_bytes());
}

TEST_F(ReplayCorpus, DeadBytesAtTheEndAreReclaimed) {
  append({section(1)});
  const std::string before = corpus();
  write_file_atomic(store_.replay_corpus(), before + "half a frame of a killed run");
  EXPECT_EQ(all(), std::vector<ReplaySnapshot>{section(1)});
  append({section(2)});
  EXPECT_EQ(corpus(), before + encode_frame(section(2)));
  EXPECT_EQ(all(), (std::vector<ReplaySnapshot>{section(1), section(2)}));
}

TEST_F(ReplayCorpus, OfSeveralFramesOfASectionTheLastCounts) {
  // As another program leaves them, that appends a section each time it comes back.
  append({section(1)});
  ReplaySnapshot again = section(1);
  again.last_seen_at += 50;
  const std::string first = encode_frame(section(1)), second = encode_frame(again);
  write_file_atomic(store_.replay_corpus(), first + second);
  write_file_atomic(
      store_.replay_index(),
      replay_index_text({{again.section_id, first.size(), second.size(), again.last_seen_at, 1.0},
                         {again.section_id, 0, first.size(), section(1).last_seen_at, 1.0}}));
  EXPECT_EQ(all(), std::vector<ReplaySnapshot>{again});
}

TEST_F(ReplayCorpus, RewritingLeavesOnlyWhatIsKept) {
  append({section(1), section(2, "The secret recipe of the otters.\n"), section(3)});
  append({section(1)});
  const ReplayHistory history = ReplayHistory::read(store_);
  rewrite({history.entries()[0], history.entries()[2]});
  EXPECT_EQ(corpus(), encode_frame(section(1)) + encode_frame(section(3)));
  EXPECT_EQ(all(), (std::vector<ReplaySnapshot>{section(1), section(3)}));
  for (const auto& file : fs::recursive_directory_iterator(store_.replay())) {
    EXPECT_EQ(read_file(file.path()).find("secret"), std::string::npos);
  }
  // What was read before stays what it was.
  EXPECT_EQ(history.snapshot(history.entries()[1]).content, "The secret recipe of the otters.\n");
  rewrite({});
  EXPECT_EQ(corpus(), "");
  EXPECT_EQ(read_file(store_.replay_index()), "[]\n");
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(ReplayCorpus, NamesTheSectionThatCannotBeRead) {
  append({section(1), section(2)});
  std::string bytes = corpus();
  bytes[0] = 'x';
  write_file_atomic(store_.replay_corpus(), bytes);
  const ReplayHistory history = ReplayHistory::read(store_);
  EXPECT_EQ(
      fault([&] { history.snapshot(history.entries()[0]); }),
      "STORE/replay/corpus.zst: section 0000000000000001 of the history cannot be read: it is "
      "no zstd frame");
  EXPECT_EQ(history.snapshot(history.entries()[1]), section(2));
  ReplayEntry other = history.entries()[1];
  other.section_id = section(9).section_id;
  EXPECT_EQ(fault([&] { history.snapshot(other); }),
            "STORE/replay/corpus.zst: section 0000000000000009 of the history cannot be read: its "
            "frame holds section 0000000000000002");
}

TEST_F(ReplayCorpus, AFileThatBecameShorterLosesOnlyWhatLayBehind) {
  append({section(1), section(2)});
  const std::string bytes = corpus();
  write_file_atomic(store_.replay_corpus(), std::string_view(bytes).substr(0, bytes.size() - 3));
  const ReplayHistory history = ReplayHistory::read(store_);
  EXPECT_EQ(fault([&] { history.snapshot(history.entries()[1]); }),
            "STORE/replay/corpus.zst: section 0000000000000002 of the history cannot be read: the "
            "file ends before it does");
  append({section(3)});
  EXPECT_EQ(warnings_,
            std::vector<std::string>{store_.replay_corpus().string() +
                                     ": section 0000000000000002 of the history is lost: the file "
                                     "ends before it does"});
  EXPECT_EQ(all(), (std::vector<ReplaySnapshot>{section(1), section(3)}));
}

TEST_F(ReplayCorpus, AMissingCorpusIsBegunAnew) {
  append({section(1)});
  remove_path(store_.replay_corpus());
  EXPECT_EQ(fault([&] { all(); }),
            "STORE/replay/corpus.zst: section 0000000000000001 of the history cannot be read: the "
            "file is missing");
  append({section(2)});
  EXPECT_EQ(all(), std::vector<ReplaySnapshot>{section(2)});
}

TEST_F(ReplayCorpus, RefusesAnIndexThatIsNone) {
  append({section(1)});
  const auto reading = [&](const std::string& text) {
    write_file_atomic(store_.replay_index(), text);
    return fault([&] { ReplayHistory::read(store_); });
  };
  const std::string head = "STORE/replay/index.json: replay index is corrupt: ";
  EXPECT_EQ(reading("{}"), head + "the top level: expected an array");
  EXPECT_EQ(reading("[1]"), head + "[0]: expected an object");
  const std::string good = R"([{"added_at": "2026-04-18T10:00:00", "byte_offset": 0, "length": 5,)"
                           R"( "section_id": "0000000000000001", "weight": 1.0}])";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return reading(text.replace(text.find(from), from.size(), to));
  };
  EXPECT_EQ(with("\"length\": 5", "\"length\": 0"),
            head + "[0].length: expected an integer from 1 on, found 0");
  EXPECT_EQ(with("\"byte_offset\": 0", "\"byte_offset\": -1"),
            head + "[0].byte_offset: expected an integer from 0 on, found -1");
  EXPECT_EQ(with("1.0", "-1.0"), head + "[0].weight: expected 0 or more, found -1.0");
  EXPECT_EQ(with("\"weight\"", "\"mass\""), head + "[0].mass: unknown key");
  EXPECT_EQ(with("000001", "00000G"),
            head + "[0].section_id: expected 16 lower-case hex digits, found \"000000000000000G\"");
  EXPECT_EQ(with("2026-04-18T", "2026-02-31T"),
            head + "[0].added_at: expected a date and time, found \"2026-02-31T10:00:00\"");
  // 2^63 - 1 twice: no sum overflows.
  EXPECT_EQ(with("\"byte_offset\": 0, \"length\": 5",
                 "\"byte_offset\": 9223372036854775807, \"length\": 9223372036854775807"),
            "no error");
  const ReplayHistory history = ReplayHistory::read(store_);
  EXPECT_EQ(fault([&] { history.snapshot(history.entries()[0]); }),
            "STORE/replay/corpus.zst: section 0000000000000001 of the history cannot be read: the "
            "file ends before it does");
}

// Kills a child at each disk step of `change`, looking at the store with `look` after each; returns
// how many died.
template <typename Change, typename Look>
int kill_at_every_step(Change change, Look look) {
  for (int fatal = 0;; ++fatal) {
    const pid_t child = ::fork();
    if (child == 0) {
      int count = 0;
      const ScopedFileFault killer([&](FileStep, const fs::path&) {
        if (count++ == fatal) ::raise(SIGKILL);
        return 0;
      });
      try {
        change();
      } catch (const std::exception&) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    look();
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return fatal;
    }
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    if (fatal > 200) return fatal;
  }
}

TEST_F(ReplayCorpus, AKillWhileAppendingLeavesTheOldHistoryOrTheNew) {
  append({section(1), section(2)});
  const auto old = all();
  const std::vector<ReplaySnapshot> wanted = {section(1), section(2), section(3), section(4)};
  int num_new = 0;
  const int num_killed = kill_at_every_step(
      [&] {
        append({section(3), section(4)});
      },
      [&] {
        const auto now = all();
        EXPECT_TRUE(now == old || now == wanted);
        num_new += now == wanted ? 1 : 0;
      });
  EXPECT_GT(num_killed, 6);
  EXPECT_GT(num_new, 0);
  EXPECT_EQ(all(), wanted);
  // Of all the killed tails at most that of the one whose index was already in place is left.
  const ReplayHistory history = ReplayHistory::read(store_);
  const size_t two = encode_frame(section(3)).size() + encode_frame(section(4)).size();
  EXPECT_LE(history.file_bytes(), history.live_bytes() + two);
}

TEST_F(ReplayCorpus, AKillWhileRewritingLeavesTheOldHistoryOrTheNew) {
  append({section(1), section(2), section(3)});
  const auto old = all();
  const std::vector<ReplaySnapshot> wanted = {section(3)};
  bool is_committed = false;
  const int num_killed = kill_at_every_step(
      [&] {
        std::vector<ReplayEntry> kept = ReplayHistory::read(store_).entries();
        std::erase_if(kept, [](const ReplayEntry& e) { return !e.section_id.ends_with("3"); });
        rewrite(kept);
      },
      [&] {
        const auto now = all();
        EXPECT_TRUE(now == wanted || (now == old && !is_committed));
        is_committed = now == wanted;
      });
  EXPECT_GT(num_killed, 12);
  EXPECT_EQ(all(), wanted);
  EXPECT_EQ(corpus(), encode_frame(section(3)));
  for (const auto& entry : fs::directory_iterator(store_.replay())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST_F(ReplayCorpus, AKillAtRandomInstantsLosesNothingThatWasCommitted) {
  append({section(0)});
  uint64_t random = 12345;
  size_t last = 1;
  for (int round = 0; round < 30; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        for (int i = static_cast<int>(last);; ++i) {
          append({section(i, std::string(10'000, static_cast<char>('a' + i % 26)))});
          if (i % 5 == 0) rewrite(ReplayHistory::read(store_).entries());
        }
      } catch (const std::exception&) {
        ::_exit(1);
      }
    }
    random = random * 6364136223846793005u + 1442695040888963407u;
    ::usleep(static_cast<useconds_t>((random >> 33) % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself, with an error";
    const size_t now = all().size();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_GT(last, 5u);
}

TEST_F(ReplayCorpus, AFullDiskLeavesTheHistoryAsItWas) {
  append({section(1), section(2)});
  const auto old = all();
  for (const FileStep failing : {FileStep::kWrite, FileStep::kSync, FileStep::kCreate}) {
    const ScopedFileFault full([&](FileStep step, const fs::path& path) {
      const bool is_replay = path.string().find("replay") != std::string::npos;
      return step == failing && is_replay ? ENOSPC : 0;
    });
    EXPECT_NE(fault([&] { append({section(3)}); }), "no error");
    EXPECT_EQ(all(), old);
    EXPECT_NE(fault([&] { rewrite({}); }), "no error");
    EXPECT_EQ(all(), old);
  }
}

TEST_F(ReplayCorpus, NeedsItsStoresLock) {
  const StoreLayout other(folder_.path(), "01KPG0GVBVYYYYYYYYYYYYYYYY");
  const StoreLock lock = StoreLock::acquire(other, clock_);
  EXPECT_EQ(fault([&] { append_snapshots(store_, {section(1)}, lock, {}); }),
            "a history is written without its store's lock");
}

}  // namespace
}  // namespace dlm
