#include "train/run_state.h"

#include <algorithm>
#include <map>

#include "engine/cpu/gemm.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/version.h"
#include "train/plan_record.h"

namespace dlm {

namespace {

constexpr int64_t kVersion2 = 2;
constexpr const char* kStartAnew = "train without --resume to start anew";

template <typename T>
TorchValue tensor_of(const std::vector<T>& elements) {
  return TorchTensor::copy_of<T>(std::span<const T>(elements),
                                 {static_cast<int64_t>(elements.size())});
}

TorchValue view_of(const Tensor& t) {
  return TorchTensor{
      "F32", t.shape(), {static_cast<const std::byte*>(t.data()), t.size_bytes()}, nullptr};
}

Tensor tensor_from(const TorchTensor& t) {
  if (t.dtype != "F32") {
    throw Error(ErrorKind::kFormat, "a tensor of the state is of " + t.dtype + ", not of F32");
  }
  return Tensor::view(t.shape, DType::kF32, t.bytes.data(), t.owner);
}

// Its real numbers lie in a tensor: torch before 2.0 refuses plain ones when it loads weights only.
TorchValue report_value(const EvalReport& r) {
  return TorchValue::Dict{{"step", r.step},
                          {"exact_rows", r.exact_rows},
                          {"num_rows", r.num_rows},
                          {"loss_and_drift", tensor_of(std::vector<double>{r.loss, r.drift})}};
}

EvalReport report_from(const TorchValue& v) {
  const auto numbers = v.at("loss_and_drift").as_tensor().elements<double>();
  if (numbers.size() != 2) {
    throw Error(ErrorKind::kFormat, "a judgement of the state has no loss and drift");
  }
  return {v.at("step").as_int(), numbers[0], v.at("exact_rows").as_int(), v.at("num_rows").as_int(),
          numbers[1]};
}

// In the place of labels of a general row that has no answer yet.
constexpr int32_t kUnanswered = -2;

// All rows behind each other; a torch archive holds no empty tensors here.
TorchValue rows_value(const std::vector<TokenRow>& rows) {
  if (rows.empty()) return {};
  std::vector<int32_t> tokens, labels;
  std::vector<int64_t> sizes, ids;
  for (const TokenRow& row : rows) {
    tokens.insert(tokens.end(), row.tokens.begin(), row.tokens.end());
    const std::vector<int32_t> known = row.labels();
    if (known.empty()) {
      labels.insert(labels.end(), row.tokens.size(), kUnanswered);
    } else {
      labels.insert(labels.end(), known.begin(), known.end());
    }
    sizes.push_back(static_cast<int64_t>(row.tokens.size()));
    ids.push_back(static_cast<int64_t>(row.id));
  }
  return TorchValue::Dict{{"tokens", tensor_of(tokens)},
                          {"labels", tensor_of(labels)},
                          {"sizes", tensor_of(sizes)},
                          {"ids", tensor_of(ids)}};
}

std::vector<TokenRow> rows_from(const TorchValue& value) {
  std::vector<TokenRow> rows;
  if (value.is_none()) return rows;
  const auto tokens = value.at("tokens").as_tensor().elements<int32_t>();
  const auto labels = value.at("labels").as_tensor().elements<int32_t>();
  const auto sizes = value.at("sizes").as_tensor().elements<int64_t>();
  const auto ids = value.at("ids").as_tensor().elements<int64_t>();
  const auto refuse = [] {
    throw Error(ErrorKind::kFormat, "the general rows of the state do not agree with their sizes");
  };
  if (labels.size() != tokens.size() || ids.size() != sizes.size()) refuse();
  size_t at = 0;
  for (size_t r = 0; r < sizes.size(); ++r) {
    if (sizes[r] < 1 || static_cast<uint64_t>(sizes[r]) > tokens.size() - at) refuse();
    const auto first = static_cast<std::ptrdiff_t>(at);
    at += static_cast<size_t>(sizes[r]);
    const auto end = static_cast<std::ptrdiff_t>(at);
    TokenRow row;
    row.tokens = std::vector<int32_t>(tokens.begin() + first, tokens.begin() + end);
    const std::vector<int32_t> stored(labels.begin() + first, labels.begin() + end);
    if (stored.front() != kUnanswered) {
      const auto first_label =
          std::find_if(stored.begin(), stored.end() - 1, [](int32_t label) { return label >= 0; });
      row.loss_begin = static_cast<uint32_t>(first_label - stored.begin()) + 1;
      row.next = stored.back();
      if (row.labels() != stored) refuse();
    }
    row.id = static_cast<uint64_t>(ids[r]);
    rows.push_back(std::move(row));
  }
  if (at != tokens.size()) refuse();
  return rows;
}

TorchValue machinery_value(const Machinery& m) {
  return TorchValue::Dict{
      {"dlm", m.program}, {"onednn", m.onednn}, {"instruction_set", m.instruction_set}};
}

RunPart part_from(const TorchValue& v) {
  const TorchValue& m = v.at("machinery");
  return {parse_json(v.at("plan").as_string()), v.at("until_step").as_int(),
          Machinery{m.at("dlm").as_string(), m.at("onednn").as_string(),
                    m.at("instruction_set").as_string()}};
}

RunState state_from(const TorchValue& v) {
  RunState s;
  s.run_id = v.at("run_id").as_int();
  if (!v.at("max_steps").is_none()) s.max_steps = v.at("max_steps").as_int();
  const TorchValue& in = v.at("inputs");
  s.inputs = {in.at("base").as_string(),
              in.at("base_revision").as_string(),
              in.at("rows_sha256").as_string(),
              in.at("prompt_sha256").as_string(),
              in.at("tokenizer_sha256").as_string(),
              in.at("adapter_config").as_string(),
              {}};
  if (const TorchValue* replayed = in.find("replayed")) {
    for (const TorchValue& r : replayed->as_list()) s.inputs.replayed.push_back(r.as_string());
  }
  for (const TorchValue& part : v.at("parts").as_list()) s.parts.push_back(part_from(part));
  if (s.parts.empty()) throw Error(ErrorKind::kFormat, "the state has no plan");
  s.general.mixed = rows_from(v.at("general_mixed"));
  s.general.measured = rows_from(v.at("general_measured"));
  LoopState& l = s.loop;
  l.step = v.at("global_step").as_int();
  l.optimizer_steps = v.at("optimizer_steps").as_int();
  l.awaits_judgement = v.at("awaits_judgement").as_bool();
  l.kept = report_from(v.at("kept"));
  l.last = report_from(v.at("last"));
  if (!v.at("losses").is_none()) l.losses = v.at("losses").as_tensor().elements<double>();
  for (const auto& [name, weight] : v.at("weights").as_dict()) {
    s.names.push_back(name);
    l.weights.push_back(tensor_from(weight.as_tensor()));
    const TorchValue& moments = v.at("optimizer").at(name);
    l.first_moments.push_back(tensor_from(moments.at("exp_avg").as_tensor()));
    l.second_moments.push_back(tensor_from(moments.at("exp_avg_sq").as_tensor()));
    if (!v.at("kept_weights").is_none()) {
      l.kept_weights.push_back(tensor_from(v.at("kept_weights").at(name).as_tensor()));
    }
  }
  if (l.step < 0 || static_cast<uint64_t>(l.step) != l.losses.size()) {
    throw Error(ErrorKind::kFormat, "the state's losses and its number of steps do not agree");
  }
  return s;
}

void hash_rows(Sha256& hash, const std::vector<TokenRow>& rows) {
  for (const TokenRow& row : rows) add_row(hash, row);
}

}  // namespace

Machinery machinery_of(const Device& device) {
  return {kVersion, onednn_version(), isa_name(device.tier())};
}

int64_t RunState::seed() const {
  return parts.front().plan.at("seed").as_int();
}

BaseFormat RunState::base_format() const {
  return recorded_base_format(parts.front().plan);
}

TorchValue run_state_value(const RunState& s) {
  const LoopState& l = s.loop;
  TorchValue::Dict weights, kept, optimizer;
  for (size_t i = 0; i < s.names.size(); ++i) {
    weights.emplace_back(s.names[i], view_of(l.weights[i]));
    if (!l.kept_weights.empty()) kept.emplace_back(s.names[i], view_of(l.kept_weights[i]));
    optimizer.emplace_back(s.names[i],
                           TorchValue::Dict{{"exp_avg", view_of(l.first_moments[i])},
                                            {"exp_avg_sq", view_of(l.second_moments[i])}});
  }
  TorchValue::List parts;
  for (const RunPart& part : s.parts) {
    parts.push_back(TorchValue::Dict{{"plan", part.plan.dump_sorted(-1)},
                                     {"until_step", part.until_step},
                                     {"machinery", machinery_value(part.machinery)}});
  }
  const RunInputs& in = s.inputs;
  TorchValue::List replayed;
  for (const std::string& reference : in.replayed) replayed.push_back(reference);
  return TorchValue::Dict{
      {"producer", "dlm"},
      {"version", kVersion2},
      {"run_id", s.run_id},
      {"global_step", l.step},
      {"optimizer_steps", l.optimizer_steps},
      {"max_steps", s.max_steps ? TorchValue(*s.max_steps) : TorchValue()},
      {"seed", s.seed()},
      {"inputs", TorchValue::Dict{{"base", in.base},
                                  {"base_revision", in.base_revision},
                                  {"rows_sha256", in.rows_sha256},
                                  {"prompt_sha256", in.prompt_sha256},
                                  {"tokenizer_sha256", in.tokenizer_sha256},
                                  {"adapter_config", in.adapter_config},
                                  {"replayed", std::move(replayed)}}},
      {"parts", std::move(parts)},
      {"weights", std::move(weights)},
      {"optimizer", std::move(optimizer)},
      {"kept_weights", kept.empty() ? TorchValue() : TorchValue(std::move(kept))},
      {"kept", report_value(l.kept)},
      {"last", report_value(l.last)},
      {"awaits_judgement", l.awaits_judgement},
      {"losses", l.losses.empty() ? TorchValue() : tensor_of(l.losses)},
      {"general_mixed", rows_value(s.general.mixed)},
      {"general_measured", rows_value(s.general.measured)}};
}

RunState read_run_state(const TorchValue& value, const std::string& path) {
  const TorchValue* producer = value.find("producer");
  const TorchValue* version = value.find("version");
  try {
    if (producer == nullptr || producer->as_string() != "dlm") {
      throw Error(ErrorKind::kResume, "this training state was written by another program",
                  kStartAnew, {path});
    }
    if (version == nullptr || version->as_int() != kVersion2) {
      throw Error(ErrorKind::kResume,
                  "this training state was written by another version of dlm, which runs cannot "
                  "go on from",
                  kStartAnew, {path});
    }
    return state_from(value);
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::kResume) throw;
    throw Error(ErrorKind::kResume, "the training state is damaged: " + e.message(), kStartAnew,
                {path});
  }
}

std::vector<std::string> machinery_differences(const Machinery& before, const Machinery& now) {
  std::vector<std::string> differences;
  const auto compare = [&](const char* what, const std::string& was, const std::string& is) {
    if (was != is) differences.push_back(std::string(what) + ": " + was + " → " + is);
  };
  compare("dlm", before.program, now.program);
  compare("oneDNN", before.onednn, now.onednn);
  compare("instruction set", before.instruction_set, now.instruction_set);
  return differences;
}

std::vector<std::string> run_differences(const RunState& before, const RunInputs& now,
                                         const Json& plan) {
  const RunInputs& was = before.inputs;
  std::vector<std::string> differences;
  const auto digest = [&](const char* what, const std::string& a, const std::string& b) {
    if (a != b) {
      differences.push_back(std::string(what) + ": " + a.substr(0, 12) + "… → " + b.substr(0, 12) +
                            "…");
    }
  };
  if (was.base != now.base) differences.push_back("base: " + was.base + " → " + now.base);
  digest("weights of the base", was.base_revision, now.base_revision);
  digest("tokenizer of the base", was.tokenizer_sha256, now.tokenizer_sha256);
  digest("system prompt", was.prompt_sha256, now.prompt_sha256);
  // Other settings make other rows of the same text; they are named on their own.
  const std::vector<std::string> settings = plan_differences(before.parts.back().plan, plan);
  if (differences.empty() && settings.empty()) {
    digest("rows of the document", was.rows_sha256, now.rows_sha256);
  }
  differences.insert(differences.end(), settings.begin(), settings.end());
  if (differences.empty() && was.adapter_config != now.adapter_config) {
    const Json a = parse_json(was.adapter_config);
    const Json b = parse_json(now.adapter_config);
    for (const auto& [key, value] : b.members()) {
      const Json* old = a.find(key);
      if (old != nullptr && *old == value) continue;
      differences.push_back("adapter_config." + key + ": " + (old ? old->dump() : "none") + " → " +
                            value.dump());
    }
  }
  return differences;
}

void fit_to_adapter(RunState& state, LoraAdapter& adapter) {
  const auto refuse = [](const std::string& what) {
    throw Error(ErrorKind::kResume, what, kStartAnew);
  };
  std::map<std::string, size_t> at;
  for (size_t i = 0; i < state.names.size(); ++i) at[state.names[i]] = i;
  const LoopState stored = state.loop;
  const auto move = [](const std::vector<Tensor>& from, size_t i, std::vector<Tensor>& to) {
    if (!from.empty()) to.push_back(from[i]);
  };
  LoopState& l = state.loop;
  state.names.clear();
  for (auto* list : {&l.weights, &l.first_moments, &l.second_moments, &l.kept_weights}) {
    list->clear();
  }
  for (const Parameter* p : adapter.parameters()) {
    const auto found = at.find(p->name);
    if (found == at.end()) refuse("the state has no tensor " + p->name);
    const size_t i = found->second;
    for (const auto* list :
         {&stored.weights, &stored.first_moments, &stored.second_moments, &stored.kept_weights}) {
      if (list->empty() || (*list)[i].shape() == p->value.shape()) continue;
      refuse(p->name + " has the shape " + shape_text((*list)[i].shape()) + " in the state and " +
             shape_text(p->value.shape()) + " now");
    }
    state.names.push_back(p->name);
    move(stored.weights, i, l.weights);
    move(stored.first_moments, i, l.first_moments);
    move(stored.second_moments, i, l.second_moments);
    move(stored.kept_weights, i, l.kept_weights);
    at.erase(found);
  }
  if (!at.empty()) refuse("the adapter has no tensor " + at.begin()->first + " of the state");
}

std::string general_digest(const GeneralRows& general) {
  Sha256 hash;
  hash_rows(hash, general.mixed);
  hash_rows(hash, general.measured);
  return hash.hex();
}

}  // namespace dlm
