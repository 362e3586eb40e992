// The map's fields by name, on top of a reader and a writer for the five kinds of CBOR item that it
// is made of. Lengths come from files: none is believed beyond the bytes that are there.
#include "store/replay_snapshot.h"

#include <algorithm>
#include <array>
#include <functional>

#include "support/clock.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

// Major types and simple values of RFC 7049 section 2.1.
enum class Major : uint8_t { kUnsigned, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };
constexpr uint64_t kFalse = 20, kTrue = 21;
constexpr uint64_t kTagDateTime = 0;
// 0001-01-01T00:00:00 and 9999-12-31T23:59:59.
constexpr int64_t kFirstSecond = -62'135'596'800, kLastSecond = 253'402'300'799;

[[noreturn]] void refuse(const std::string& reason) {
  throw Error(ErrorKind::kFormat, reason);
}

void append_head(std::string& out, Major major, uint64_t value) {
  const auto first = static_cast<unsigned>(major) << 5;
  int num_bytes = 0;
  if (value < 24) {
    out += static_cast<char>(first | value);
    return;
  }
  if (value <= 0xFF) {
    out += static_cast<char>(first | 24);
    num_bytes = 1;
  } else if (value <= 0xFFFF) {
    out += static_cast<char>(first | 25);
    num_bytes = 2;
  } else if (value <= 0xFFFFFFFF) {
    out += static_cast<char>(first | 26);
    num_bytes = 4;
  } else {
    out += static_cast<char>(first | 27);
    num_bytes = 8;
  }
  for (int i = num_bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

void append_text(std::string& out, std::string_view text) {
  append_head(out, Major::kText, text.size());
  out += text;
}

void append_time(std::string& out, int64_t unix_seconds) {
  append_head(out, Major::kTag, kTagDateTime);
  append_text(out, format_utc(unix_seconds) + "Z");
}

void append_integer(std::string& out, int64_t value) {
  if (value >= 0) return append_head(out, Major::kUnsigned, static_cast<uint64_t>(value));
  append_head(out, Major::kNegative, ~static_cast<uint64_t>(value));
}

class CborReader {
 public:
  explicit CborReader(std::string_view bytes) : bytes_(bytes) {}

  bool is_at_end() const { return at_ == bytes_.size(); }
  uint64_t map_size() { return size_of(Major::kMap, "a map"); }

  std::string text() {
    const uint64_t size = size_of(Major::kText, "a text");
    const std::string_view found = bytes_.substr(at_, size);
    if (find_utf8_fault(found)) refuse("a text is no UTF-8");
    at_ += size;
    return std::string(found);
  }

  bool boolean() {
    const Head head = next();
    if (head.major == Major::kSimple && head.value == kFalse) return false;
    if (head.major == Major::kSimple && head.value == kTrue) return true;
    refuse("expected true or false");
  }

  // Unix seconds; what is below a second is cut.
  int64_t time() {
    const Head head = next();
    if (head.major != Major::kTag || head.value != kTagDateTime) refuse("expected a date and time");
    const std::string written = text();
    const auto us = parse_utc(written);
    if (!us) refuse("expected a date and time");
    constexpr int64_t kUsPerSecond = 1'000'000;
    const int64_t seconds = *us / kUsPerSecond - (*us % kUsPerSecond < 0 ? 1 : 0);
    // An offset may lead out of the years that can be written.
    if (seconds < kFirstSecond || seconds > kLastSecond) refuse("expected a date and time");
    return seconds;
  }

  std::vector<int64_t> integers() {
    const uint64_t size = size_of(Major::kArray, "an array");
    std::vector<int64_t> values;
    for (uint64_t i = 0; i < size; ++i) {
      const Head head = next();
      const bool is_negative = head.major == Major::kNegative;
      if (head.major != Major::kUnsigned && !is_negative) refuse("expected an integer");
      if (head.value > static_cast<uint64_t>(INT64_MAX)) refuse("an integer is too large");
      const auto value = static_cast<int64_t>(head.value);
      values.push_back(is_negative ? -1 - value : value);
    }
    return values;
  }

 private:
  struct Head {
    Major major;
    uint64_t value;
  };

  Head next() {
    if (is_at_end()) refuse("it ends too early");
    const auto first = static_cast<uint8_t>(bytes_[at_++]);
    const auto major = static_cast<Major>(first >> 5);
    const unsigned info = first & 31;
    if (info < 24) return {major, info};
    // 28 to 30 are reserved; 31 would be a length that is not known, which no writer of this map
    // needs.
    if (info > 27) refuse("an item has no length");
    const size_t num_bytes = size_t{1} << (info - 24);
    if (bytes_.size() - at_ < num_bytes) refuse("it ends too early");
    uint64_t value = 0;
    for (size_t i = 0; i < num_bytes; ++i) value = value << 8 | static_cast<uint8_t>(bytes_[at_++]);
    return {major, value};
  }

  // Each element takes a byte at least, so a size above what is left cannot be true.
  uint64_t size_of(Major major, const char* wanted) {
    const Head head = next();
    if (head.major != major) refuse(std::string("expected ") + wanted);
    if (head.value > bytes_.size() - at_) refuse(std::string(wanted) + " ends too early");
    return head.value;
  }

  std::string_view bytes_;
  size_t at_ = 0;
};

void check_snapshot(const ReplaySnapshot& snapshot) {
  if (!is_section_id(snapshot.section_id)) refuse("section_id: expected 16 lower-case hex digits");
  if (snapshot.section_type != "prose" && snapshot.section_type != "instruction" &&
      snapshot.section_type != "preference") {
    refuse("section_type: expected prose, instruction or preference");
  }
}

}  // namespace

bool is_section_id(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string snapshot_cbor(const ReplaySnapshot& snapshot) {
  std::string out;
  append_head(out, Major::kMap, 7);
  append_text(out, "content");
  append_text(out, snapshot.content);
  append_text(out, "auto_mined");
  append_head(out, Major::kSimple, snapshot.auto_mined ? kTrue : kFalse);
  append_text(out, "section_id");
  append_text(out, snapshot.section_id);
  append_text(out, "last_seen_at");
  append_time(out, snapshot.last_seen_at);
  append_text(out, "section_type");
  append_text(out, snapshot.section_type);
  append_text(out, "first_seen_at");
  append_time(out, snapshot.first_seen_at);
  append_text(out, "training_runs_seen");
  append_head(out, Major::kArray, snapshot.training_runs_seen.size());
  for (const int64_t run : snapshot.training_runs_seen) append_integer(out, run);
  return out;
}

ReplaySnapshot parse_snapshot(std::string_view cbor) {
  CborReader reader(cbor);
  ReplaySnapshot s;
  struct Field {
    const char* name;
    std::function<void()> read;
    bool is_needed = true;
    bool is_found = false;
  };
  std::array<Field, 7> fields{{
      {"content", [&] { s.content = reader.text(); }},
      {"auto_mined", [&] { s.auto_mined = reader.boolean(); }, false},  // absent in older frames
      {"section_id", [&] { s.section_id = reader.text(); }},
      {"last_seen_at", [&] { s.last_seen_at = reader.time(); }},
      {"section_type", [&] { s.section_type = reader.text(); }},
      {"first_seen_at", [&] { s.first_seen_at = reader.time(); }},
      {"training_runs_seen", [&] { s.training_runs_seen = reader.integers(); }},
  }};
  const uint64_t size = reader.map_size();
  for (uint64_t i = 0; i < size; ++i) {
    const std::string key = reader.text();
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return key == f.name; });
    if (field == fields.end()) refuse("unknown key");
    if (field->is_found) refuse(key + ": named twice");
    field->is_found = true;
    try {
      field->read();
    } catch (const Error& error) {
      refuse(key + ": " + error.message());
    }
  }
  if (!reader.is_at_end()) refuse("something follows the map");
  for (const Field& field : fields) {
    if (field.is_needed && !field.is_found) refuse(std::string(field.name) + ": missing");
  }
  check_snapshot(s);
  return s;
}

}  // namespace dlm
