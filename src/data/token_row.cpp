#include "data/token_row.h"

#include <algorithm>
#include <utility>

#include "support/error.h"

namespace dlm {

namespace {

static_assert(sizeof(RowOutline) <= 40, "a document has as many as it has pairs");

int64_t count_labels(size_t num_tokens, size_t loss_begin, int32_t next) {
  if (num_tokens == 0) return 0;
  const size_t first = std::min(std::max<size_t>(loss_begin, 1), num_tokens);
  return static_cast<int64_t>(num_tokens - first) + (next >= 0);
}

}  // namespace

std::vector<int32_t> TokenRow::labels() const {
  std::vector<int32_t> labels;
  if (!loss_begin) return labels;
  labels.assign(tokens.size(), -1);
  for (size_t i = std::max<size_t>(*loss_begin, 1); i < tokens.size(); ++i)
    labels[i - 1] = tokens[i];
  if (!labels.empty()) labels.back() = next;
  return labels;
}

int64_t TokenRow::num_labels() const {
  return loss_begin ? count_labels(tokens.size(), *loss_begin, next) : 0;
}

int64_t RowOutline::num_labels() const {
  return count_labels(num_tokens, loss_begin, next);
}

RowOutline outline_of(const TokenRow& row) {
  check(row.loss_begin.has_value(), "a row whose labels are not known");
  RowOutline outline;
  outline.id = row.id;
  outline.source = row.source;
  outline.num_tokens = static_cast<uint32_t>(row.tokens.size());
  outline.loss_begin = *row.loss_begin;
  outline.next = row.next;
  outline.text_begin = row.text_begin;
  outline.text_end = row.text_end;
  return outline;
}

TokenRows::TokenRows(std::vector<TokenRow> rows) {
  outlines_.reserve(rows.size());
  for (const TokenRow& row : rows) outlines_.push_back(outline_of(row));
  kept_ = std::make_shared<const std::vector<TokenRow>>(std::move(rows));
}

TokenRow TokenRows::operator[](size_t i) const {
  return kept_ ? kept_->at(i) : make_(outlines_.at(i));
}

void add_row(Sha256& hash, const TokenRow& row) {
  const auto add = [&](const void* data, size_t size) {
    hash.update(std::span(static_cast<const std::byte*>(data), size));
  };
  const uint64_t head[] = {row.tokens.size(), row.id};
  add(head, sizeof head);
  add(row.tokens.data(), row.tokens.size() * sizeof(int32_t));
  const std::vector<int32_t> labels = row.labels();
  add(labels.data(), labels.size() * sizeof(int32_t));
}

}  // namespace dlm
