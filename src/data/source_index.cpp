// The file: a line that names format and version, records of one size in the order of their stamps,
// and the SHA-256 of all that in hexadecimal. Numbers are little-endian.
#include "data/source_index.h"

#include "support/error.h"
#include "support/hash.h"

namespace dlm {

namespace {

// The version counts what the facts mean, too: another rule for secrets is another version.
constexpr std::string_view kHead = "dlm source index 1\n";
constexpr size_t kHashBytes = 64;
constexpr size_t kRecordBytes = 5 * 8 + 1 + 1 + 8 + kHashBytes;
constexpr size_t kMaxBytes = size_t{512} << 20;
constexpr uint8_t kNoSecret = 255;

void put_u64(std::string& out, uint64_t value) {
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(value >> shift & 0xFF);
}

uint64_t take_u64(std::string_view& in) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value |= static_cast<uint64_t>(static_cast<unsigned char>(in[static_cast<size_t>(i)]))
             << (8 * i);
  }
  in.remove_prefix(8);
  return value;
}

uint8_t take_u8(std::string_view& in) {
  const auto value = static_cast<uint8_t>(in[0]);
  in.remove_prefix(1);
  return value;
}

}  // namespace

SourceIndex SourceIndex::read(const fs::path& path) {
  SourceIndex index;
  std::string bytes;
  try {
    if (!path_exists(path)) return index;
    bytes = read_file(path, kMaxBytes);
  } catch (const Error&) {  // what cannot be read is as good as absent
    return index;
  }
  std::string_view in = bytes;
  if (!in.starts_with(kHead) || in.size() < kHead.size() + kHashBytes) return index;
  const std::string_view body = in.substr(0, in.size() - kHashBytes);
  if (sha256_hex(body) != in.substr(body.size())) return index;
  in = body.substr(kHead.size());
  while (in.size() >= kRecordBytes) {
    FileStamp stamp;
    stamp.device = take_u64(in);
    stamp.inode = take_u64(in);
    stamp.size = take_u64(in);
    stamp.modified_ns = static_cast<int64_t>(take_u64(in));
    stamp.changed_ns = static_cast<int64_t>(take_u64(in));
    FileFacts facts;
    facts.verdict = static_cast<FileVerdict>(take_u8(in));
    const uint8_t kind = take_u8(in);
    const auto line = static_cast<int64_t>(take_u64(in));
    if (kind < kNumSecretKinds) facts.secret = {static_cast<SecretKind>(kind), line};
    facts.sha256 = in.substr(0, kHashBytes);
    in.remove_prefix(kHashBytes);
    index.facts_.emplace_hint(index.facts_.end(), stamp, std::move(facts));
  }
  return index;
}

std::string SourceIndex::bytes() const {
  std::string out(kHead);
  out.reserve(kHead.size() + facts_.size() * kRecordBytes + kHashBytes);
  for (const auto& [stamp, facts] : facts_) {
    put_u64(out, stamp.device);
    put_u64(out, stamp.inode);
    put_u64(out, stamp.size);
    put_u64(out, static_cast<uint64_t>(stamp.modified_ns));
    put_u64(out, static_cast<uint64_t>(stamp.changed_ns));
    out += static_cast<char>(facts.verdict);
    out += static_cast<char>(facts.secret ? static_cast<uint8_t>(facts.secret->kind) : kNoSecret);
    put_u64(out, facts.secret ? static_cast<uint64_t>(facts.secret->line) : 0);
    out += facts.sha256;
  }
  return out + sha256_hex(std::string_view(out));
}

void SourceIndex::write(const fs::path& path) const {
  make_folders(path.parent_path());
  write_file_atomic(path, bytes());
}

const FileFacts* SourceIndex::find(const FileStamp& stamp) const {
  const auto it = facts_.find(stamp);
  return it == facts_.end() ? nullptr : &it->second;
}

void SourceIndex::add(const FileStamp& stamp, FileFacts facts, int64_t now_unix_seconds) {
  constexpr int64_t kSettledSeconds = 2;
  const int64_t last = std::max(stamp.modified_ns, stamp.changed_ns) / 1'000'000'000;
  if (last + kSettledSeconds < now_unix_seconds) facts_.insert_or_assign(stamp, std::move(facts));
}

bool SourceIndex::operator==(const SourceIndex& other) const {
  return bytes() == other.bytes();
}

}  // namespace dlm
