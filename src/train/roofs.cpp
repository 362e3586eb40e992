#include "train/roofs.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/cpu/isa.h"
#include "support/error.h"
#include "train/machine.h"
#include "train/spread.h"

namespace dlm {

namespace {

constexpr size_t kMaxBytes = size_t{64} << 10;
constexpr int64_t kVersion1 = 1;

// A rate that a machine can have.
double rate_of(const Json& value) {
  const double rate = value.as_double();
  if (!std::isfinite(rate) || rate < 0) {
    throw Error(ErrorKind::kFormat, "a rate is no positive number");
  }
  return rate;
}

Roofs roofs_of(const Json& json) {
  if (json.at("version").as_int() != kVersion1) {
    throw Error(ErrorKind::kFormat, "it has a version that is not known");
  }
  Roofs roofs;
  roofs.key.processor = json.at("processor").as_string();
  roofs.key.instruction_set = json.at("instruction_set").as_string();
  roofs.key.threads = static_cast<int>(json.at("threads").as_int());
  for (const auto& [type, rate] : json.at("gflops").members()) roofs.gflops[type] = rate_of(rate);
  if (const Json& rate = json.at("read_gbs"); !rate.is_null()) roofs.read_gbs = rate_of(rate);
  roofs.measured_at = json.at("measured_at").as_string();
  roofs.measured_by = json.at("measured_by").as_string();
  return roofs;
}

std::string difference(const RoofKey& was, const RoofKey& is) {
  if (was.processor != is.processor) return "another processor (" + was.processor + ")";
  if (was.instruction_set != is.instruction_set) {
    return "another instruction set (" + was.instruction_set + ")";
  }
  return fmt::format("{} {}", was.threads, was.threads == 1 ? "thread" : "threads");
}

}  // namespace

RoofKey roof_key(int num_threads) {
  return {read_processor().name, isa_name(isa_tier()), num_threads};
}

fs::path roofs_path(const fs::path& home) {
  return home / "roofs.json";
}

KnownRoofs read_roofs(const fs::path& home, const RoofKey& key) {
  const fs::path path = roofs_path(home);
  if (!path_exists(path)) return {};
  try {
    Roofs roofs = roofs_of(parse_json(read_file(path, kMaxBytes), path.string()));
    if (roofs.key == key) return {std::move(roofs), {}};
    return {std::nullopt, "those in " + path.string() + " were measured with " +
                              difference(roofs.key, key) + " and are not used"};
  } catch (const Error& error) {
    return {std::nullopt, path.string() + " cannot be read and is not used: " + error.message()};
  }
}

void write_roofs(const fs::path& home, const Roofs& roofs) {
  make_folders(home);
  write_file_atomic(roofs_path(home), roofs_json(roofs).dump(2) + "\n");
}

Json roofs_json(const Roofs& roofs) {
  Json gflops = Json::object();
  for (const auto& [type, rate] : roofs.gflops) gflops.set(type, rate);
  Json json = Json::object();
  json.set("version", kVersion1);
  json.set("processor", roofs.key.processor);
  json.set("instruction_set", roofs.key.instruction_set);
  json.set("threads", roofs.key.threads);
  json.set("gflops", std::move(gflops));
  json.set("read_gbs", roofs.read_gbs > 0 ? Json(roofs.read_gbs) : Json());
  json.set("measured_at", roofs.measured_at);
  json.set("measured_by", roofs.measured_by);
  return json;
}

const char* precision_word(DType dtype) {
  return dtype == DType::kBF16 ? "bf16" : "fp32";
}

ProductRate product_rate(const fs::path& home, Device& device, DType dtype, const Clock& clock) {
  const RoofKey key = roof_key(device.pool().num_threads());
  KnownRoofs known = read_roofs(home, key);
  Roofs roofs = known.roofs.value_or(Roofs{});
  if (const auto rate = roofs.gflops.find(precision_word(dtype));
      rate != roofs.gflops.end() && rate->second > 0) {
    return {rate->second, std::nullopt};
  }
  if (!known.roofs) {
    roofs.key = key;
    roofs.measured_at = format_utc(clock.unix_seconds());
    roofs.measured_by = "train";
  }
  const double gflops = measure_gflops(device, dtype);
  roofs.gflops[precision_word(dtype)] = gflops;
  return {gflops, std::move(roofs)};
}

Roofs measure_roofs(Device& device, double read_gbs, const Clock& clock) {
  constexpr int kRounds = 5;
  Roofs roofs;
  roofs.key = roof_key(device.pool().num_threads());
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    if (dtype == DType::kBF16 && !has_bf16_products(device.tier())) continue;
    std::vector<double> rates;
    for (int round = 0; round < kRounds; ++round) rates.push_back(measure_gflops(device, dtype));
    roofs.gflops[precision_word(dtype)] = spread_of(std::move(rates)).median;
  }
  roofs.read_gbs = read_gbs;
  roofs.measured_at = format_utc(clock.unix_seconds());
  roofs.measured_by = "bench";
  return roofs;
}

}  // namespace dlm
