#include "export/imatrix_cache.h"

#include "support/error.h"
#include "support/hash.h"
#include "support/json.h"

namespace dlm {

namespace {

// Counts up whenever the same inputs would give another matrix.
constexpr int64_t kCollectorVersion = 4;

// Lengths go along, so that two lists of texts never read as one.
void add(Sha256& hash, const std::string& text) {
  hash.update(std::to_string(text.size()) + ":" + text + ";");
}
void add(Sha256& hash, int64_t number) {
  add(hash, std::to_string(number));
}

}  // namespace

std::string imatrix_key(const ImatrixSource& source, const ImatrixOptions& options) {
  Sha256 hash;
  add(hash, "importance matrix");
  add(hash, kCollectorVersion);
  add(hash, source.base_sha256);
  add(hash, source.base_weights);
  add(hash, source.adapter_sha256);
  add(hash, source.adapter_weight);
  add(hash, source.tokenizer_sha256);
  add(hash, source.rows_sha256);
  add(hash, source.instruction_set);
  add(hash, options.chunk_tokens);
  add(hash, options.max_chunks);
  return hash.hex();
}

std::optional<ImatrixCollection> cached_imatrix(const fs::path& folder, const std::string& key) {
  if (!path_exists(folder / kImatrixRecord) || !path_exists(folder / kImatrixGguf)) {
    return std::nullopt;
  }
  try {
    const Json record = parse_json(read_file(folder / kImatrixRecord, size_t{1} << 20));
    if (record.at("key").as_string() != key) return std::nullopt;
    if (record.at("gguf_sha256").as_string() != sha256_file_hex(folder / kImatrixGguf)) {
      return std::nullopt;
    }
    ImatrixCollection collection;
    collection.num_tokens = record.at("tokens").as_int();
    collection.num_all_tokens = record.at("document_tokens").as_int();
    collection.notice = record.at("notice").as_string();
    collection.imatrix = read_imatrix(folder / kImatrixGguf);
    return collection;
  } catch (const Error&) {
    return std::nullopt;  // a cache that cannot be read is no cache
  }
}

void store_imatrix(const fs::path& folder, const ImatrixCollection& collection,
                   const std::string& key) {
  check(collection.imatrix.has_value(), "importance matrix: nothing to store");
  write_imatrix_dat(folder / kImatrixDat, *collection.imatrix);
  write_imatrix_gguf(folder / kImatrixGguf, *collection.imatrix);
  Json record = Json::object();
  record.set("key", key);
  record.set("gguf_sha256", sha256_file_hex(folder / kImatrixGguf));
  record.set("collector_version", kCollectorVersion);
  record.set("tokens", collection.num_tokens);
  record.set("document_tokens", collection.num_all_tokens);
  record.set("notice", collection.notice);
  write_file_atomic(folder / kImatrixRecord, record.dump(2) + "\n");
}

}  // namespace dlm
