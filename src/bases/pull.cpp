#include "bases/pull.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "bases/blob_fetch.h"
#include "bases/hub_cache.h"
#include "bases/locate.h"
#include "bases/registry.h"
#include "model/config.h"
#include "support/error.h"
#include "support/json.h"
#include "support/progress.h"
#include "support/threads.h"

namespace dlm {
namespace {

// One connection seldom fills a line; more than a few only load the server.
constexpr int kParallelFiles = 4;
// Left free on the disk for everything else.
constexpr uint64_t kSpareBytes = uint64_t{64} << 20;
constexpr const char* kConfig = "config.json";

HubName name_of(const BaseInfo& base) {
  if (base.hf_id.empty()) {
    throw Error(ErrorKind::kBase, "base \"" + std::string(base.key) + "\" comes with this program",
                "there is nothing to fetch");
  }
  return {std::string(base.hf_id), std::string(base.revision)};
}

// Without the network, from the cache alone.
bool find_complete(PullPlan& plan, const HubCache& cache, bool is_offline) {
  const std::string revision = plan.name.revision.empty() ? kDefaultRevision : plan.name.revision;
  // A branch may have moved on, which only the hub knows.
  if (!is_commit(revision) && !is_offline) return false;
  const auto commit = cache.commit_of(revision);
  if (!commit) return false;
  plan.commit = *commit;
  plan.folder = cache.snapshot(*commit);
  plan.is_complete = is_whole_base(plan.folder);
  return plan.is_complete;
}

void require_room(const PullPlan& plan, const fs::path& cache) {
  const uint64_t free = free_disk_bytes(cache);
  if (plan.missing_bytes == 0 || free >= plan.missing_bytes + kSpareBytes) return;
  throw Error(ErrorKind::kIo,
              "the disk has " + format_bytes(free) + " free, and " + plan.base + " needs " +
                  format_bytes(plan.missing_bytes),
              "free some space, or put the cache on another disk with HF_HUB_CACHE",
              {cache.string()});
}

uint64_t missing_bytes(const HubFile& file, const HubCache& cache) {
  std::error_code error;
  if (fs::file_size(cache.blob(file.digest), error) == file.size && !error) return 0;
  const auto part = fs::file_size(cache.part(file.digest), error);
  return error || part > file.size ? file.size : file.size - part;
}

// Counts the bytes of all files, from any thread.
class Progress {
 public:
  Progress(const PullPlan& plan, const PullEvents& events)
      : total_(plan.total_bytes), events_(events) {}

  void add(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    done_ = static_cast<uint64_t>(static_cast<int64_t>(done_) + bytes);
    if (events_.on_progress) events_.on_progress(done_, total_);
  }

 private:
  const uint64_t total_;
  const PullEvents& events_;
  std::mutex mutex_;
  uint64_t done_ = 0;
};

// All files of a plan. The first fault stops the others and is the one that is told.
class Fetch {
 public:
  Fetch(const PullPlan& plan, const HubOptions& options, const HubCache& cache, Progress& progress)
      : plan_(plan), options_(options), cache_(cache) {
    options_.should_stop = [this, &options] {
      return has_failed_ || (options.should_stop && options.should_stop());
    };
    blob_events_.on_bytes = [&progress](int64_t bytes) { progress.add(bytes); };
    blob_events_.check_stopped = [this] {
      if (options_.should_stop()) throw Error(ErrorKind::kInterrupted, "interrupted");
    };
  }

  void run(std::vector<HubFile> files) {
    // The largest first, so that none is left alone at the end.
    std::stable_sort(files.begin(), files.end(),
                     [](const HubFile& a, const HubFile& b) { return a.size > b.size; });
    const auto num_files = static_cast<int64_t>(files.size());
    if (num_files == 0) return;
    const int num_threads = static_cast<int>(std::min<int64_t>(kParallelFiles, num_files));
    std::vector<std::unique_ptr<HubClient>> clients(static_cast<size_t>(num_threads));
    ThreadPool pool(num_threads);
    pool.run(num_files, [&](int64_t task, int worker) {
      auto& client = clients[static_cast<size_t>(worker)];
      guarded([&] {
        if (!client) client = std::make_unique<HubClient>(options_);
        fetch_blob(*client, plan_.name, plan_.commit, files[static_cast<size_t>(task)], cache_,
                   blob_events_);
      });
    });
    if (first_) std::rethrow_exception(first_);
  }

 private:
  template <typename Work>
  void guarded(Work work) {
    if (has_failed_) return;
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!has_failed_) first_ = std::current_exception();
      has_failed_ = true;
    }
  }

  const PullPlan& plan_;
  HubOptions options_;
  const HubCache& cache_;
  BlobEvents blob_events_;
  std::mutex mutex_;
  std::atomic<bool> has_failed_{false};
  std::exception_ptr first_;
};

// Throws for a model that this program cannot run.
void check_config(const fs::path& blob, const PullPlan& plan) {
  try {
    parse_model_config(parse_json(read_file(blob, size_t{16} << 20)), plan.name.repository);
  } catch (const Error& error) {
    throw Error(ErrorKind::kBase, plan.base + " cannot be used: " + error.message(),
                error.hint().empty() ? "its weights were not fetched" : error.hint());
  }
}

}  // namespace

PullPlan plan_pull(std::string_view base, const HubOptions& options) {
  PullPlan plan;
  plan.base = std::string(base);
  plan.endpoint = options.settings.endpoint;
  if (is_hub_name(base)) {
    plan.name = parse_hub_name(base);
  } else {
    const BaseInfo& info = require_known_base(base);
    plan.name = name_of(info);
    plan.license = info.license;
  }
  const fs::path& root = options.settings.cache;
  if (root.empty()) {
    throw Error(ErrorKind::kUsage, "there is no folder to keep bases in",
                "set HF_HOME or HOME to one");
  }
  const HubCache cache(root, plan.name.repository);
  if (find_complete(plan, cache, options.settings.is_offline)) return plan;
  if (options.settings.is_offline) {
    throw Error(ErrorKind::kNetwork,
                plan.base + " is not on this machine, and HF_HUB_OFFLINE is set",
                "unset it to fetch the base");
  }
  HubClient client(options);
  HubListing listing = client.list(plan.name);
  plan.commit = listing.commit;
  plan.folder = cache.snapshot(plan.commit);
  if (plan.license.empty()) plan.license = listing.license;
  plan.files = choose_base_files(listing, plan.name.repository);
  for (HubFile& file : plan.files.files) {
    if (file.digest.empty()) client.describe(plan.name, plan.commit, file);
    plan.total_bytes += file.size;
    plan.missing_bytes += missing_bytes(file, cache);
  }
  require_room(plan, root);
  return plan;
}

void run_pull(const PullPlan& plan, const HubOptions& options, const PullEvents& events) {
  if (plan.is_complete) return;
  const HubCache cache(options.settings.cache, plan.name.repository);
  Progress progress(plan, events);
  Fetch fetch(plan, options, cache, progress);
  std::vector<HubFile> config, others;
  for (const HubFile& file : plan.files.files) {
    (file.name == kConfig ? config : others).push_back(file);
  }
  fetch.run(config);
  check_config(cache.blob(config.at(0).digest), plan);
  fetch.run(others);
  // Weights come last in the list, so a snapshot that has them has all the rest.
  for (const HubFile& file : plan.files.files) cache.link(plan.commit, file.name, file.digest);
  for (const std::string& name : plan.files.absent) cache.mark_absent(plan.commit, name);
  cache.write_ref(plan.name.revision.empty() ? kDefaultRevision : plan.name.revision, plan.commit);
  check_base_files(plan.folder);
}

}  // namespace dlm
