#include "store/replay_index.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "store/json_fields.h"
#include "store/replay_snapshot.h"
#include "support/clock.h"
#include "support/error.h"

namespace dlm {

namespace {

int64_t unix_seconds_of(const std::string& time) {
  constexpr int64_t kUsPerSecond = 1'000'000;
  const int64_t us = parse_utc(time).value_or(0);
  return us / kUsPerSecond - (us % kUsPerSecond < 0 ? 1 : 0);
}

ReplayEntry entry_from(JsonFields& fields) {
  ReplayEntry entry;
  entry.section_id = fields.text("section_id");
  if (!is_section_id(entry.section_id)) {
    fields.refuse("section_id", "16 lower-case hex digits");
  }
  entry.byte_offset = static_cast<uint64_t>(fields.integer("byte_offset", 0));
  // Both fit into 63 bits, so that their sum fits into 64.
  entry.length = static_cast<uint64_t>(fields.integer("length", 1));
  entry.added_at = unix_seconds_of(fields.time("added_at"));
  try {
    static_cast<void>(format_utc(entry.added_at));
  } catch (const Error&) {
    fields.refuse("added_at", "a date and time");  // its offset leads out of the calendar
  }
  entry.weight = fields.number_or_null("weight").value_or(1.0);
  if (!std::isfinite(entry.weight) || entry.weight < 0) fields.refuse("weight", "0 or more");
  fields.finish();
  return entry;
}

}  // namespace

std::vector<ReplayEntry> parse_replay_index(std::string_view text, const fs::path& path) {
  const Refuse refuse = [&](const std::string& reason) {
    throw Error(ErrorKind::kStore, "replay index is corrupt: " + reason,
                "restore replay/index.json from a backup, or move the folder replay/ away: a new "
                "history then begins; the adapters are not affected",
                {path.string()});
  };
  Json json;
  try {
    JsonLimits limits;
    limits.max_depth = 4;
    json = parse_json(text, path.string(), limits);
  } catch (const Error& error) {
    refuse(error.message());
  }
  if (!json.is_array()) refuse("the top level: expected an array");
  std::vector<ReplayEntry> entries;
  for (size_t i = 0; i < json.items().size(); ++i) {
    JsonFields fields(json.items()[i], "[" + std::to_string(i) + "]", refuse);
    entries.push_back(entry_from(fields));
  }
  return entries;
}

std::string replay_index_text(std::vector<ReplayEntry> entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const ReplayEntry& a, const ReplayEntry& b) {
    return a.section_id < b.section_id;
  });
  Json json = Json::array();
  for (const ReplayEntry& entry : entries) {
    json.push_back(Json::object({{"added_at", format_utc(entry.added_at)},
                                 {"byte_offset", Json(entry.byte_offset)},
                                 {"length", Json(entry.length)},
                                 {"section_id", entry.section_id},
                                 {"weight", entry.weight}}));
  }
  return json.dump_sorted(2, true) + "\n";
}

Eviction evict_until(const std::vector<ReplayEntry>& entries, uint64_t max_bytes,
                     const std::vector<std::string>& protected_ids) {
  const std::set<std::string> is_protected(protected_ids.begin(), protected_ids.end());
  uint64_t total = 0;
  for (const ReplayEntry& entry : entries) total += entry.length;
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(entries[a].added_at, entries[a].section_id) <
           std::pair(entries[b].added_at, entries[b].section_id);
  });
  Eviction result;
  std::set<size_t> gone;
  for (const size_t i : order) {
    if (total <= max_bytes) break;
    if (is_protected.contains(entries[i].section_id)) continue;
    total -= entries[i].length;
    gone.insert(i);
    result.evicted.push_back(entries[i]);
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!gone.contains(i)) result.kept.push_back(entries[i]);
  }
  return result;
}

}  // namespace dlm
