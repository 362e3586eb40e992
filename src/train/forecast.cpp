#include "train/forecast.h"

#include "bases/registry.h"
#include "engine/cpu/gemm.h"
#include "store/manifest.h"
#include "store/store_layout.h"
#include "support/progress.h"
#include "train/base_refusals.h"
#include "train/general_rows.h"
#include "train/machine.h"
#include "train/prepare.h"
#include "train/replay.h"
#include "train/row_estimate.h"
#include "train/run_checks.h"
#include "train/run_record.h"

namespace dlm {

namespace {

class Forecaster {
 public:
  Forecaster(const ForecastRequest& request, Device& device)
      : request_(request), device_(device), p_(read(request)), store_(request.home, id()) {
    around_.home = request.home;
    around_.search = request.bases;
    around_.hub = request.hub;
    if (store_.is_initialized()) {
      around_.of_store = read_manifest(store_).license_acceptance;
      around_.search.commits = pinned_commits(store_);
    }
  }

  Forecast make() {
    result_.base = request_.base.value_or(front().base_model);
    result_.num_pairs = p_.rows.num_chat;
    result_.num_texts = p_.rows.num_text;
    judge_document();
    // Its base first, so that its memory is planned in a process like the one of training.
    add_base(result_.base);
    if (request_.base) return std::move(result_);
    for (const auto* bases : {&known_bases(), &media_bases()}) {
      for (const BaseInfo& base : *bases) {
        if (base.key != result_.base) add_base(std::string(base.key));
      }
    }
    return std::move(result_);
  }

 private:
  static Prepared read(const ForecastRequest& request) {
    PrepareOptions asked;
    asked.home = request.home;
    asked.now_unix_seconds = request.clock->unix_seconds();
    return prepare_document(read_document(request.document), request.document.string(),
                            request.on_warning, asked);
  }

  const Frontmatter& front() const { return p_.document.frontmatter; }
  const std::string& id() const { return front().dlm_id; }

  // What holds for every base.
  void judge_document() {
    const auto judge = [&](const char* kind, const auto& check_it) {
      try {
        check_it();
      } catch (const Error& error) {
        result_.refusals.push_back(refusal_of(kind, error));
      }
    };
    if (p_.rows.rows.empty()) {
      result_.refusals.push_back(
          {"empty",
           "there is nothing to train: the document has no prose and no pairs",
           "write some text, or an ::instruction:: section",
           {request_.document.string()}});
    }
    judge("media", [&] { refuse_media(p_.document, result_.base); });
    judge("setting", [&] { check_supported(front()); });
    judge("setting", [&] { dtype_ = choose_dtype(front(), has_bf16_products(device_.tier())); });
    judge("document", [&] {
      const auto note = [&](const std::string& text) { result_.notes.push_back(text); };
      const ReplayChoice history = choose_replay(p_, store_, front().training.seed, false, note);
      if (!history.reason.empty()) note(history.reason);
    });
  }

  void add_base(const std::string& base) {
    BaseForecast f;
    f.base = base;
    f.is_wanted = result_.bases.empty();
    if (const BaseInfo* info = find_any_base(base)) {
      f.num_parameters = info->params;
      f.size_gb = info->size_gb;
    }
    f.presence = find_presence(base, around_.search);
    f.refusals = base_refusals(base, f.presence, around_);
    if (!p_.rows.rows.empty() && dtype_) {
      try {
        plan_on(f);
      } catch (const Error& error) {
        f.refusals.push_back(
            refusal_of(error.kind() == ErrorKind::kBase ? "base" : "document", error));
      }
    }
    if (f.presence.is_whole && request_.probe) {
      try {
        for (const Refusal& one : request_.probe(base, around_.search)) f.refusals.push_back(one);
      } catch (const Error& error) {
        f.refusals.push_back(refusal_of("probe", error));
      }
    }
    result_.bases.push_back(std::move(f));
  }

  void plan_on(BaseForecast& f) {
    // Many texts are tokenized for the wanted base only.
    const bool is_read = f.presence.is_whole && (f.is_wanted || has_little_text());
    std::optional<ModelConfig> shapes;
    PlanInput in;
    if (is_read) {
      open_for_base(p_, f.base, around_.search, f.is_wanted ? request_.on_warning : nullptr);
      in = plan_input(p_, device_, std::nullopt, std::nullopt, 0);
      f.num_parameters = in.model->num_parameters();
    } else {
      shapes = shapes_here(f);
      if (!shapes) return;
      in = estimated_input(*shapes);
      f.num_parameters = shapes->num_parameters();
      f.is_estimated = true;
    }
    if (program_bytes_ == 0) settle_machine(in);
    in.program_bytes = program_bytes_;
    in.memory_bytes = memory_bytes_;
    in.gflops = result_.rate ? result_.rate->gflops : 0;
    in.may_exceed_memory = true;
    f.num_rows = in.num_rows;
    f.num_tokens = in.num_tokens;
    f.plan = make_plan(in);
    judge_memory(in, f);
    try {
      check_disk(store_, f.plan->num_trained);
    } catch (const Error& error) {
      f.refusals.push_back(refusal_of("disk", error));
    }
  }

  bool has_little_text() const {
    size_t bytes = 0;
    for (const DocumentRow& row : p_.rows.rows) {
      bytes += row.num_bytes();
    }
    return bytes < kTokenCacheFromBytes;
  }

  static std::optional<ModelConfig> shapes_here(const BaseForecast& f) {
    if (f.presence.is_whole) return load_model_config(f.presence.folder);
    const BaseInfo* info = find_base(f.base);
    if (info == nullptr) return std::nullopt;
    return shapes_of(*info);
  }

  PlanInput estimated_input(const ModelConfig& shapes) const {
    const RowEstimate rows = estimate_rows(p_.rows, front().system_prompt,
                                           max_row_tokens(front(), shapes), front().training.seed);
    PlanInput in;
    in.frontmatter = &front();
    in.model = &shapes;
    in.num_rows = rows.num_rows;
    in.num_chat_rows = rows.num_pairs;
    in.num_tokens = rows.num_tokens;
    in.longest_row = rows.longest_row;
    in.num_general_rows = static_cast<int64_t>(mixed_general_prompts().size());
    in.general_tokens = kGeneralRowTokens * in.num_general_rows;
    in.machine_has_bf16 = has_bf16_products(device_.tier());
    in.num_threads = device_.pool().num_threads();
    in.memory_bytes = available_memory_bytes();
    in.program_bytes = resident_bytes();
    return in;
  }

  // The same for every base: what is free and held when the first is planned, and the rate.
  void settle_machine(const PlanInput& in) {
    program_bytes_ = in.program_bytes;
    memory_bytes_ = request_.memory_bytes.value_or(in.memory_bytes);
    if (memory_bytes_ > 0) result_.memory_bytes = memory_bytes_ + program_bytes_;
    result_.rate = product_rate(request_.home, device_, *dtype_, *request_.clock);
  }

  void judge_memory(PlanInput in, BaseForecast& f) const {
    const uint64_t limit = result_.memory_bytes;
    if (limit == 0 || f.plan->predicted_peak_bytes <= limit) return;
    Refusal refusal{"memory",
                    "training needs " + format_bytes(f.plan->predicted_peak_bytes) +
                        " at the least, " + format_bytes(limit) +
                        " are available: --max-mem cannot make it fit",
                    "free memory, or use a smaller base",
                    {}};
    if (!in.base_format && !f.plan->base_format.linear) {
      in.base_format = BaseFormat::qlora();
      const uint64_t small = make_plan(in).predicted_peak_bytes;
      if (small <= limit) {
        refusal.hint = "with --weights nf4 it needs " + format_bytes(small) + " and fits";
      } else {
        refusal.message += ", nor can --weights nf4 (" + format_bytes(small) + ")";
      }
    }
    f.refusals.push_back(std::move(refusal));
  }

  const ForecastRequest& request_;
  Device& device_;
  Prepared p_;
  StoreLayout store_;
  BaseSurroundings around_;
  std::optional<DType> dtype_;
  uint64_t program_bytes_ = 0;
  uint64_t memory_bytes_ = 0;
  Forecast result_;
};

}  // namespace

Forecast forecast_document(const ForecastRequest& request, Device& device) {
  return Forecaster(request, device).make();
}

}  // namespace dlm
