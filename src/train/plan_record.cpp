#include "train/plan_record.h"

#include <string_view>

#include "support/error.h"

namespace dlm {

namespace {

// What a person calls the fields; those of the document by their keys.
struct Field {
  const char* key;
  const char* shown;
};
constexpr Field kFixed[] = {
    {"adapter", "training.adapter"},
    {"alpha", "training.lora_alpha"},
    {"base_weights", "weights of the base"},
    {"dropout", "training.lora_dropout"},
    {"general_rows_per_step", "general rows a step"},
    {"holds_out", "rows are held out"},
    {"learning_rate", "training.learning_rate"},
    {"lr_scheduler", "training.lr_scheduler"},
    {"max_tokens", "training.sequence_len"},
    {"modules_to_save", "modules that are trained whole"},
    {"precision", "training.precision"},
    {"rank", "training.lora_r"},
    {"rows_per_step", "rows a step"},
    {"seed", "seed"},
    {"target_modules", "training.target_modules"},
};

LrScheduler schedule_of(const std::string& word) {
  for (const LrScheduler s : {LrScheduler::kConstant, LrScheduler::kCosine, LrScheduler::kLinear}) {
    if (word == word_of(kLrSchedulerWords, s)) return s;
  }
  throw Error(ErrorKind::kFormat, "\"" + word + "\" is no schedule", "the record is damaged");
}

AdapterKind adapter_kind_of(const std::string& word) {
  for (const AdapterKind k : {AdapterKind::kLora, AdapterKind::kQlora, AdapterKind::kDora}) {
    if (word == word_of(kAdapterKindWords, k)) return k;
  }
  throw Error(ErrorKind::kFormat, "\"" + word + "\" is no kind of adapter",
              "the record is damaged");
}

Json field_of(const Json& record, const std::string& key) {
  if (key != "base_weights") return record.at(key);
  return Json(std::string(trained_base_word(recorded_base_format(record))));
}

Json array_of(const std::vector<std::string>& words) {
  Json array = Json::array();
  for (const std::string& word : words) array.push_back(word);
  return array;
}

std::vector<std::string> words_of(const Json& array) {
  std::vector<std::string> words;
  for (const Json& word : array.items()) words.push_back(word.as_string());
  return words;
}

}  // namespace

BaseFormat recorded_base_format(const Json& record) {
  if (const Json* word = record.find("base_weights")) return trained_base_format(word->as_string());
  return base_format_of(adapter_kind_of(record.at("adapter").as_string()));
}

// Keys in their sorted order, in which records are read back.
Json plan_record(const TrainingPlan& p) {
  Json json = Json::object();
  json.set("adapter", word_of(kAdapterKindWords, p.adapter));
  json.set("alpha", p.alpha);
  json.set("base_weights", std::string(trained_base_word(p.base_format)));
  json.set("dropout", p.dropout);
  json.set("eval_every", p.eval_every);
  json.set("general_rows_per_step", p.general_rows_per_step);
  json.set("holds_out", p.holds_out);
  json.set("learning_rate", p.learning_rate);
  json.set("lr_scheduler", word_of(kLrSchedulerWords, p.schedule));
  json.set("max_tokens", p.max_tokens);
  json.set("modules_to_save", array_of(p.modules_to_save));
  json.set("precision", p.dtype == DType::kBF16 ? "bf16" : "fp32");
  json.set("rank", p.rank);
  json.set("rows_per_step", p.rows_per_step);
  json.set("seed", p.seed);
  json.set("steps", p.steps);
  json.set("target_modules", array_of(p.target_modules));
  json.set("warmup_steps", p.warmup_steps);
  return json;
}

void apply_plan_record(const Json& record, TrainingPlan& p) {
  const auto count = [&](const char* key, int64_t least) {
    const int64_t value = record.at(key).as_int();
    if (value >= least) return value;
    throw Error(ErrorKind::kFormat,
                std::string("\"") + key + "\" is less than " + std::to_string(least),
                "the record is damaged");
  };
  p.alpha = count("alpha", 1);
  p.dropout = record.at("dropout").as_double();
  p.eval_every = count("eval_every", 1);
  p.general_rows_per_step = count("general_rows_per_step", 0);
  p.holds_out = record.at("holds_out").as_bool();
  p.learning_rate = record.at("learning_rate").as_double();
  p.schedule = schedule_of(record.at("lr_scheduler").as_string());
  p.max_tokens = count("max_tokens", 1);
  p.dtype = record.at("precision").as_string() == "bf16" ? DType::kBF16 : DType::kF32;
  p.rank = count("rank", 1);
  p.rows_per_step = count("rows_per_step", 1);
  p.seed = count("seed", 0);
  p.steps = count("steps", 1);
  p.adapter = adapter_kind_of(record.at("adapter").as_string());
  p.base_format = recorded_base_format(record);
  p.modules_to_save = words_of(record.at("modules_to_save"));
  p.target_modules = words_of(record.at("target_modules"));
  p.warmup_steps = count("warmup_steps", 0);
}

std::vector<std::string> plan_differences(const Json& before, const Json& now) {
  std::vector<std::string> differences;
  for (const Field& field : kFixed) {
    const Json was = field_of(before, field.key);
    const Json is = field_of(now, field.key);
    if (was == is) continue;
    differences.push_back(std::string(field.shown) + ": " + was.dump() + " → " + is.dump());
  }
  return differences;
}

}  // namespace dlm
