#include "train/reproduce.h"

#include <stdlib.h>

#include <algorithm>

#include <fmt/format.h>

#include "store/adapter_versions.h"
#include "support/error.h"
#include "support/hash.h"
#include "train/plan_record.h"
#include "train/prepare.h"
#include "train/replay.h"
#include "train/run_record.h"

namespace dlm {

namespace {

// A folder of its own below the system's, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "dlm-reproduce-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw Error(ErrorKind::kIo, "cannot create a temporary folder",
                  "name one that can be written in TMPDIR", {name});
    }
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

int64_t wanted_version(const StoreLayout& store, std::optional<int64_t> version) {
  if (version) {
    if (is_folder(store.version(*version))) return *version;
    throw Error(ErrorKind::kStore, "there is no version " + version_name(*version), {},
                {store.versions().string()});
  }
  if (const int64_t current = current_version_number(store)) return current;
  throw Error(ErrorKind::kTrain, "the document has not been trained yet", "run `dlm train` first");
}

class Retraining {
 public:
  Retraining(const ReproduceRequest& request, const TrainEvents& events, Reproduction& result,
             const RunRecord& record, const Prepared& prepared)
      : events_(events),
        result_(result),
        record_(record),
        p_(prepared),
        device_(request.num_threads) {}

  // Leaves the digest in the result, or the differences that make it pointless to train.
  void run() {
    const Machinery now = machinery_of(device_);
    for (const RunPart& part : record_.parts) {
      for (const std::string& difference : machinery_differences(part.machinery, now)) {
        add(difference);
      }
    }
    if (!inputs_are_the_same()) return;
    TrainingPlan plan = make_plan(plan_input(p_, device_, record_.max_steps, record_.seed(), 0));
    apply_plan_record(record_.parts.front().plan, plan);
    if (plan.dtype == DType::kBF16 && !has_bf16_products(device_.tier())) {
      add("precision: bf16, which this processor does not multiply");
      return;
    }
    train(plan);
  }

 private:
  void add(const std::string& difference) {
    auto& all = result_.differences;
    if (std::find(all.begin(), all.end(), difference) == all.end()) all.push_back(difference);
  }

  bool inputs_are_the_same() {
    const RunInputs now = run_inputs(p_);
    const auto compare = [&](const char* what, const std::string& was, const std::string& is) {
      if (was != is) add(fmt::format("{}: {}… → {}…", what, was.substr(0, 12), is.substr(0, 12)));
      return was == is;
    };
    const RunInputs& was = record_.inputs;
    const bool weights = compare("weights of the base", was.base_revision, now.base_revision);
    const bool tokenizer =
        compare("tokenizer of the base", was.tokenizer_sha256, now.tokenizer_sha256);
    const bool rows =
        !tokenizer || compare("rows of the document", was.rows_sha256, now.rows_sha256);
    const auto& sources = p_.sources.records;
    for (size_t i = 0; !rows && i < std::min(sources.size(), record_.sources.size()); ++i) {
      compare(("files of the source " + sources[i].path).c_str(), record_.sources[i].sha256,
              sources[i].sha256);
    }
    return weights && tokenizer && rows;
  }

  void train(TrainingPlan plan) {
    const auto decoder = Decoder::load_to_train(p_.base.folder, plan.dtype, plan.base_format,
                                                !plan.modules_to_save.empty(), device_);
    const auto adapter =
        LoraAdapter::create(*decoder, lora_options(p_, plan), static_cast<uint64_t>(plan.seed));
    GeneralRows general;
    if (p_.format->has_chat_template()) {
      general = make_general_rows(*decoder, device_, *p_.format,
                                  p_.document.frontmatter.system_prompt, events_.on_general_row);
    }
    LoopEvents loop_events;
    TrainingPlan shown = plan;
    shown.steps = record_.steps();
    loop_events.on_step = [&](const StepReport& step) {
      if (events_.on_step) events_.on_step(step, shown);
    };
    std::optional<LoopState> state;
    for (const RunPart& part : record_.parts) {
      apply_plan_record(part.plan, plan);
      TrainingLoop loop(*decoder, *adapter, device_, plan, split_rows(p_, plan, general));
      if (state) loop.restore(own(*state));
      loop.advance(part.until_step, loop_events);
      const bool is_last = &part == &record_.parts.back();
      if (is_last) loop.finish();
      state = loop.state();
      general = loop.general();
    }
    if (general_digest(general) != record_.general_rows_sha256) {
      add("the base's answers to the general prompts");
    }
    const ScratchFolder scratch;
    adapter->save(scratch.path());
    result_.retrained_sha256 = sha256_file_hex(scratch.path() / kAdapterWeightsFile);
  }

  // With memory of its own: the weights of a loop's state are those that the next one overwrites.
  static LoopState own(LoopState state) {
    for (auto* list : {&state.weights, &state.first_moments, &state.second_moments}) {
      for (Tensor& tensor : *list) tensor = tensor.cast(DType::kF32);
    }
    return state;
  }

  const TrainEvents& events_;
  Reproduction& result_;
  const RunRecord& record_;
  const Prepared& p_;
  Device device_;
};

}  // namespace

Reproduction reproduce_version(const ReproduceRequest& request, const TrainEvents& events) {
  const int64_t began_ns = request.clock->monotonic_ns();
  const std::string now = read_document(request.document);
  const StoreLayout store(request.home,
                          parse_document(now, request.document.string()).frontmatter.dlm_id);
  Reproduction result;
  result.version = wanted_version(store, request.version);
  const fs::path folder = store.version(result.version);
  const auto record = read_run_record(folder);
  if (!record) {
    throw Error(ErrorKind::kTrain, "the version does not record how it was trained",
                "it is from another program or an older dlm; `dlm train` makes one that does",
                {folder.string()});
  }
  const fs::path copy = folder / kDocumentFile;
  if (!path_exists(copy)) {
    throw Error(ErrorKind::kTrain, "the version has no copy of its document",
                "`dlm replay forget` removes copies with the sections that it forgets; such a "
                "version cannot be trained again",
                {folder.string()});
  }
  std::string document = read_document(copy);
  if (sha256_hex(std::string_view(document)) != record->document_sha256) {
    throw Error(ErrorKind::kStore, "the version's copy of its document is not the one it recorded",
                "the file was changed or is damaged: it cannot be trained again", {copy.string()});
  }
  result.document_has_changed = document != now;
  result.recorded_sha256 = record->adapter_sha256;
  result.stored_sha256 = sha256_file_hex(folder / kAdapterWeightsFile);
  result.determinism_class = record->determinism_class;
  result.steps = record->steps();
  if (result.stored_sha256 != result.recorded_sha256) {
    result.differences.push_back("adapter_model.safetensors of the version: not as recorded");
  }
  PrepareOptions asked;
  asked.document = request.document;  // not the copy: relative paths begin where it lies
  asked.allows_secrets = record->allows_secrets;
  BaseSearch bases = request.bases;
  if (!record->base_commit.empty()) bases.commits[record->inputs.base] = record->base_commit;
  Prepared p = prepare(std::move(document), copy.string(), record->inputs.base, bases, {}, asked);
  add_replay_rows(p, replayed_by(record->inputs.replayed, store), {});
  Retraining(request, events, result, *record, p).run();
  result.is_same = result.retrained_sha256 == result.recorded_sha256 &&
                   result.stored_sha256 == result.recorded_sha256;
  result.seconds = static_cast<double>(request.clock->monotonic_ns() - began_ns) / 1e9;
  return result;
}

Json reproduction_json(const Reproduction& r) {
  Json json = Json::object();
  json.set("version", r.version);
  json.set("same", r.is_same);
  json.set("recorded_sha256", r.recorded_sha256);
  json.set("stored_sha256", r.stored_sha256);
  json.set("retrained_sha256", r.retrained_sha256.empty() ? Json() : Json(r.retrained_sha256));
  json.set("determinism_class", r.determinism_class);
  json.set("steps", r.steps);
  Json differences = Json::array();
  for (const std::string& difference : r.differences) differences.push_back(difference);
  json.set("differences", std::move(differences));
  json.set("document_has_changed", r.document_has_changed);
  json.set("seconds", r.seconds);
  return json;
}

}  // namespace dlm
