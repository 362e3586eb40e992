#include "train/run.h"

#include <algorithm>

#include <fmt/format.h>

#include "store/adapter_versions.h"
#include "store/checkpoint.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "store/store_lock.h"
#include "support/error.h"
#include "support/text.h"
#include "train/plan_record.h"
#include "train/prepare.h"
#include "train/replay.h"
#include "train/resume.h"
#include "train/roofs.h"
#include "train/run_caches.h"
#include "train/run_checks.h"
#include "train/run_files.h"
#include "train/run_log.h"
#include "train/run_record.h"

namespace dlm {

namespace {

// A checkpoint takes at most this part of the time, however large the adapter is.
constexpr int64_t kCheckpointShare = 20;

class Run {
 public:
  Run(const TrainRequest& request, const TrainEvents& events, Prepared& prepared)
      : request_(request),
        events_(events),
        p_(prepared),
        store_(request.home, prepared.document.frontmatter.dlm_id),
        device_(request.num_threads),
        machinery_(machinery_of(device_)) {
    result_.sources = prepared.sources.records;
  }

  TrainResult train() {
    if (request_.dry_run) {
      plan();
      if (events_.on_plan) events_.on_plan(result_.plan);
      return result_;
    }
    // A plan that cannot be is refused before the store is touched; what a run goes on from is read
    // under the lock.
    if (!request_.resume) plan();
    if (request_.resume && !is_folder(store_.root())) find_resume_point(store_, 1);  // throws
    const StoreLock lock = StoreLock::acquire(store_, *request_.clock);
    lock_ = &lock;
    open_store();
    if (request_.resume) plan();
    check_lock();
    if (result_.is_complete) return result_;
    // Told only now: a run that may not start shows no plan.
    if (events_.on_plan) events_.on_plan(result_.plan);
    save_cached_tokens(p_, result_.run_id, request_.clock->unix_seconds(), warner());
    load_model();
    train_and_commit();
    return result_;
  }

 private:
  void plan() {
    std::optional<int64_t> max_steps = request_.max_steps;
    std::optional<int64_t> seed = request_.seed;
    std::optional<BaseFormat> base_format = request_.base_format;
    if (request_.resume) {
      if (request_.dry_run && store_.is_initialized()) manifest_ = read_manifest(store_);
      start_ = find_resume_point(store_, manifest_.next_run_id());
      if (!seed) seed = start_->state.seed();
      if (!base_format) base_format = start_->state.base_format();
      if (!max_steps && start_->is_unfinished) max_steps = start_->state.max_steps;
    }
    max_steps_ = max_steps;
    const ReplayChoice history =
        start_ ? replay_again(p_, store_, start_->state.inputs.replayed, warner())
               : choose_replay(p_, store_, seed.value_or(p_.document.frontmatter.training.seed),
                               request_.replay_deleted, warner());
    PlanInput input =
        plan_input(p_, device_, max_steps, seed, request_.max_memory_bytes.value_or(0));
    input.base_format = base_format;
    const DType dtype = choose_dtype(p_.document.frontmatter, input.machine_has_bf16);
    ProductRate rate = product_rate(request_.home, device_, dtype, *request_.clock);
    input.gflops = rate.gflops;
    measured_roofs_ = std::move(rate.measured);
    result_.plan = make_plan(input);
    if (!history.reason.empty()) result_.plan.reasons.push_back(history.reason);
    result_.determinism_class = kDeterminismClass;
    state_.inputs = run_inputs(p_);
    state_.inputs.replayed = history.references;
    if (!start_) return;
    const RunState& before = start_->state;
    if (before.general.mixed.empty()) result_.plan.general_rows_per_step = 0;
    state_.inputs.adapter_config = before.inputs.adapter_config;  // compared once it is made
    require_same_run(before, state_.inputs, plan_record(result_.plan), machinery_,
                     request_.lock_mode);
    result_.resumed_at_step = before.loop.step;
    result_.is_complete = !start_->is_unfinished && before.loop.step >= result_.plan.steps;
  }

  ReplayWarning warner() const {
    return [this](const std::string& text) { note(text); };
  }

  void open_store() {
    store_.ensure();
    remove_leftovers(store_, *lock_);
    if (store_.is_initialized()) {
      manifest_ = read_manifest(store_);
    } else {
      manifest_.dlm_id = p_.document.frontmatter.dlm_id;
      manifest_.created_at = format_utc(request_.clock->unix_seconds());
      manifest_.updated_at = manifest_.created_at;
      manifest_.base_model = p_.base.key;
      manifest_.base_model_revision = p_.base.revision;
      manifest_.source_path = fs::absolute(request_.document).lexically_normal().string();
    }
    manifest_.license_acceptance = request_.license;
    if (record_current_version(manifest_, store_, *lock_, warner())) {
      write_manifest(store_, manifest_, *lock_);
      note(
          fmt::format("v{:04d} was committed by a run that could not record it; it is recorded now",
                      manifest_.adapter_version));
    }
    state_.run_id = result_.run_id = manifest_.next_run_id();
    if (!request_.resume) require_replayed(state_.inputs.replayed, store_);
    if (request_.fresh) {
      remove_checkpoint(store_, {}, *lock_);
    } else if (!request_.resume) {
      tell_unfinished_run();
    }
    if (p_.sources.index_has_changed) save_source_index(p_, request_.home, warner());
  }

  void tell_unfinished_run() {
    try {
      const auto unfinished = unfinished_run(store_, result_.run_id);
      if (!unfinished) return;
      note(
          fmt::format("a run stopped at step {} and could go on with --resume; this one starts "
                      "anew and takes its place",
                      unfinished->loop.step));
    } catch (const Error&) {
      // Nothing that could go on.
    }
  }

  void check_lock() {
    record_.created_at = format_utc_us(request_.clock->unix_us());
    record_.dlm_id = p_.document.frontmatter.dlm_id;
    record_.dlm_sha256 = p_.document.sha256_of_bytes;
    record_.base_model_revision = p_.base.revision;
    record_.base_model_sha256 = p_.base.revision;
    record_.pinned_versions = pinned_versions(machinery_);
    pin_commit(record_.pinned_versions, p_.base.commit);
    record_.license_acceptance = request_.license;
    record_.seed = result_.plan.seed;
    record_.determinism_class = "strong";
    record_.last_run_id = result_.run_id;
    decision_ = check_lock_file(store_.dlm_lock(), record_, request_.lock_mode);
    require_lock(decision_, store_.dlm_lock());
    if (decision_.action != LockDecision::Action::kProceedWithWarnings) return;
    for (const LockMismatch& mismatch : decision_.mismatches) {
      if (mismatch.severity == Severity::kWarn) note("lock: " + mismatch.message);
    }
  }

  void load_model() {
    decoder_ = Decoder::load_to_train(p_.base.folder, result_.plan.dtype, result_.plan.base_format,
                                      !result_.plan.modules_to_save.empty(), device_);
    adapter_ = LoraAdapter::create(*decoder_, lora_options(p_, result_.plan),
                                   static_cast<uint64_t>(result_.plan.seed));
    check_disk(store_, adapter_->num_parameters());
    state_.max_steps = max_steps_;
    state_.inputs.adapter_config = adapter_->config_json().dump_sorted(-1);
    if (!start_) {
      for (const Parameter* parameter : adapter_->parameters()) {
        state_.names.push_back(parameter->name);
      }
      return;
    }
    RunState& before = start_->state;
    require_same_run(before, state_.inputs, plan_record(result_.plan), machinery_,
                     request_.lock_mode);
    fit_to_adapter(before, *adapter_);
    state_.names = before.names;
    state_.parts = std::move(before.parts);
    state_.general = std::move(before.general);
  }

  void train_and_commit() {
    started_ = request_.clock->unix_seconds();
    const int64_t began_ns = request_.clock->monotonic_ns();
    result_.log_path = store_.run_log(result_.run_id, started_);
    result_.summary_path = store_.run_summary(result_.run_id, started_);
    // A run that does not commit leaves no log behind either.
    struct LogFile {
      const TrainResult& result;
      ~LogFile() {
        std::error_code ignored;
        if (!result.trained) fs::remove(result.log_path, ignored);
      }
    } log_file{result_};
    RunLog log(result_.log_path, *request_.clock);
    log.write("banner", banner_json(result_, record_.pinned_versions));
    log.write("delta", delta_json(p_.document, manifest_));
    if (p_.format->has_chat_template()) {
      GeneralRows general =
          make_general_rows(*decoder_, device_, *p_.format, p_.document.frontmatter.system_prompt,
                            events_.on_general_row);
      if (start_) {
        general.mixed = std::move(state_.general.mixed);
        general.measured = std::move(state_.general.measured);
      }
      state_.general = std::move(general);
    }
    if (state_.general.mixed.empty()) result_.plan.general_rows_per_step = 0;
    begin_part();
    run_loop(log);
    result_.seconds = static_cast<double>(request_.clock->monotonic_ns() - began_ns) / 1e9;
    check_finite(*adapter_);
    commit();
    record(log);
  }

  // Goes on with the last part where plan and machinery are the same, else begins another.
  void begin_part() {
    RunPart part{plan_record(result_.plan), 0, machinery_};
    if (!state_.parts.empty() && state_.parts.back().plan == part.plan &&
        state_.parts.back().machinery == part.machinery) {
      return;
    }
    state_.parts.push_back(std::move(part));
  }

  void run_loop(RunLog& log) {
    TrainingLoop loop(*decoder_, *adapter_, device_, result_.plan,
                      split_rows(p_, result_.plan, state_.general));
    if (start_) {
      loop.restore(start_->state.loop);
      start_.reset();
    }
    last_checkpoint_ns_ = request_.clock->monotonic_ns();
    LoopEvents events;
    events.on_step = [&](const StepReport& step) {
      log.write("step", step_json(step));
      if (events_.on_step) events_.on_step(step, result_.plan);
    };
    events.on_eval = [&](const EvalReport& eval) {
      log.write("eval", eval_json(eval));
      if (events_.on_eval) events_.on_eval(eval);
    };
    events.between_steps = [&] {
      if (is_checkpoint_due()) write_checkpoint_of(loop);
    };
    try {
      loop.advance(result_.plan.steps, events);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kInterrupted || loop.steps_taken() == 0 ||
          !write_checkpoint_of(loop)) {
        throw;
      }
      throw Error(ErrorKind::kInterrupted, e.message(),
                  fmt::format("go on at step {} of {} with --resume", state_.loop.step,
                              result_.plan.steps));
    }
    result_.loop = loop.finish();
    take_state(loop);
  }

  void take_state(TrainingLoop& loop) {
    state_.loop = loop.state();
    state_.general = loop.general();
    state_.parts.back().until_step = state_.loop.step;
  }

  bool is_checkpoint_due() const {
    if (request_.checkpoint_seconds == 0) return true;
    const int64_t since = request_.clock->monotonic_ns() - last_checkpoint_ns_;
    return since >= std::max(request_.checkpoint_seconds * 1'000'000'000,
                             (kCheckpointShare - 1) * checkpoint_cost_ns_);
  }

  // A run does not fail for want of a checkpoint. Returns whether it was written.
  bool write_checkpoint_of(TrainingLoop& loop) {
    const int64_t began_ns = request_.clock->monotonic_ns();
    bool is_written = true;
    try {
      take_state(loop);
      write_checkpoint(store_, {}, run_state_value(state_), *lock_);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kIo) throw;
      note(std::string("no checkpoint: ") + e.what());
      is_written = false;
    }
    last_checkpoint_ns_ = request_.clock->monotonic_ns();
    checkpoint_cost_ns_ = last_checkpoint_ns_ - began_ns;
    return is_written;
  }

  void commit() {
    version_record_.run_id = result_.run_id;
    version_record_.started_at = format_utc(started_);
    version_record_.ended_at = format_utc(request_.clock->unix_seconds());
    version_record_.inputs = state_.inputs;
    version_record_.base_commit = p_.base.commit;
    version_record_.document_sha256 = p_.document.sha256_of_bytes;
    version_record_.base_weights_stamp = p_.base_stamp;
    version_record_.general_rows_sha256 = general_digest(state_.general);
    version_record_.determinism_class = result_.determinism_class;
    version_record_.max_steps = max_steps_;
    version_record_.weight_distribution = weight_distribution(p_.rows);
    version_record_.allows_secrets = request_.allows_secrets;
    version_record_.sources = p_.sources.records;
    version_record_.parts = state_.parts;
    version_record_.micro_batch_tokens = result_.plan.micro_batch_tokens;
    version_record_.kept = result_.loop.kept;
    version_record_.final_train_loss = result_.loop.mean_loss;
    if (result_.plan.holds_out) version_record_.final_val_loss = result_.loop.kept.loss;
    version_record_.summary_path = store_.relative(result_.summary_path);
    PendingVersion pending(store_, {}, *lock_);
    result_.adapter_version = pending.number();
    write_version_files(pending.folder(), *adapter_, state_, version_record_, result_.plan, p_);
    result_.adapter_sha256 = version_record_.adapter_sha256;
    result_.adapter_path = pending.commit();
    result_.trained = true;
  }

  void record(RunLog& log) {
    try {
      write_file_atomic(result_.summary_path, summary_json(result_).dump_sorted(2) + "\n");
      record_history(store_, p_.document, manifest_, result_.run_id, version_record_.ended_at,
                     *lock_, warner());
      record_run(manifest_, version_record_, result_.adapter_version, p_.document);
      write_manifest(store_, manifest_, *lock_);
      if (decision_.should_write) write_lock_file(store_.dlm_lock(), record_);
      remove_checkpoint(store_, {}, *lock_);
      log.write("run_complete", complete_json(result_, store_.relative(result_.summary_path)));
      log.sync();
      save_measured_roofs(measured_roofs_, request_.home, warner());
    } catch (const Error& e) {
      throw Error(e.kind(),
                  fmt::format("{} is trained and in use, but the run could not be recorded: {}",
                              version_name(result_.adapter_version), e.message()),
                  "free some disk space; the next training records what is missing", e.place());
    }
  }

  void note(const std::string& text) const {
    if (events_.on_note) events_.on_note(text);
  }

  const TrainRequest& request_;
  const TrainEvents& events_;
  Prepared& p_;
  StoreLayout store_;
  Device device_;
  Machinery machinery_;
  const StoreLock* lock_ = nullptr;
  Manifest manifest_;
  LockFile record_;
  LockDecision decision_;
  std::optional<ResumePoint> start_;
  std::optional<int64_t> max_steps_;  // of the command line, now or when the run began
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<LoraAdapter> adapter_;
  RunState state_;
  RunRecord version_record_;
  int64_t started_ = 0;
  int64_t last_checkpoint_ns_ = 0;
  int64_t checkpoint_cost_ns_ = 0;
  std::optional<Roofs> measured_roofs_;  // for the record; none: it has this rate
  TrainResult result_;
};

}  // namespace

TrainResult train_document(const TrainRequest& request, const TrainEvents& events) {
  PrepareOptions asked;
  asked.home = request.home;
  asked.uses_token_cache = request.use_token_cache;
  asked.allows_secrets = request.allows_secrets;
  asked.now_unix_seconds = request.clock->unix_seconds();
  Prepared p = prepare(read_document(request.document), request.document.string(), request.base,
                       request.bases, events.on_warning, asked);
  if (events.on_sources && !p.sources.records.empty()) events.on_sources(p.sources);
  if (p.outlines.empty()) return {};
  return Run(request, events, p).train();
}

}  // namespace dlm
