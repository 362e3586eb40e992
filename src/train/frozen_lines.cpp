#include "train/frozen_lines.h"

#include <cstring>

#include "engine/random.h"

namespace dlm {

size_t RowLines::Hash::operator()(const Tokens& tokens) const {
  uint64_t hash = tokens.size();
  for (const int32_t token : tokens) hash = random_key({hash, static_cast<uint64_t>(token)});
  return hash;
}

RowLines::Tokens RowLines::tokens_of(const Batch& batch, const BatchRow& row) {
  return {batch.tokens.begin() + row.begin, batch.tokens.begin() + row.end};
}

bool RowLines::load(const Batch& batch, float* lines) {
  std::vector<const std::vector<float>*> found;
  for (const BatchRow& row : batch.rows) {
    const auto it = lines_.find(tokens_of(batch, row));
    if (it == lines_.end()) return false;
    found.push_back(&it->second);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    std::memcpy(lines + static_cast<size_t>(batch.rows[i].begin) * hidden_size_, found[i]->data(),
                found[i]->size() * sizeof(float));
  }
  return true;
}

void RowLines::store(const Batch& batch, const float* lines) {
  for (const BatchRow& row : batch.rows) {
    const auto begin = static_cast<size_t>(row.begin) * hidden_size_;
    const auto end = static_cast<size_t>(row.end) * hidden_size_;
    const uint64_t size = (end - begin) * sizeof(float);
    if (held_bytes_ + size > max_bytes_) continue;
    const auto [at, is_new] = lines_.try_emplace(tokens_of(batch, row));
    if (!is_new) continue;
    at->second.assign(lines + begin, lines + end);
    held_bytes_ += size;
  }
}

}  // namespace dlm
