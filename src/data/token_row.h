// Training rows: token ids, and which of them carry loss. A list of rows holds no tokens: they are
// made again when a row is asked for, which takes far less time than training on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "support/hash.h"

namespace dlm {

// One training row. Its loss covers one run of tokens up to the end, so labels need no memory of
// their own.
struct TokenRow {
  std::vector<int32_t> tokens;
  // tokens[loss_begin] and all behind it carry loss (but for tokens[0], which nothing predicts);
  // none: what is to be learned is not known yet.
  std::optional<uint32_t> loss_begin;
  int32_t next = -1;    // the token behind the last one, which carries loss too; -1: none
  uint64_t id = 0;      // of its content; keys the row's random numbers
  uint32_t source = 0;  // which document row it came from
  // Prose: the bytes of the document row's text.
  uint32_t text_begin = 0;
  uint32_t text_end = 0;

  // labels()[i] is the token after tokens[i] where it carries loss, else -1. Empty when not known.
  std::vector<int32_t> labels() const;
  int64_t num_labels() const;
};

// All of a document's row but its tokens; documents have many, so it is small.
struct RowOutline {
  uint64_t id = 0;  // this and the next as in TokenRow
  uint32_t source = 0;
  uint32_t num_tokens = 0;
  uint32_t loss_begin = 0;
  int32_t next = -1;
  uint32_t text_begin = 0;
  uint32_t text_end = 0;
  // Prose: which token of these bytes comes first, where a single character has more tokens than a
  // row may hold.
  uint32_t first_token = 0;

  int64_t num_labels() const;
};

// What a row is without its tokens. Of a row whose labels are known.
RowOutline outline_of(const TokenRow& row);

class TokenRows {
 public:
  using Make = std::function<TokenRow(const RowOutline&)>;

  TokenRows() = default;
  // Rows that `make` gives whole when they are asked for.
  TokenRows(std::vector<RowOutline> outlines, Make make)
      : outlines_(std::move(outlines)), make_(std::move(make)) {}
  // Rows that are kept with their tokens.
  TokenRows(std::vector<TokenRow> rows);

  size_t size() const { return outlines_.size(); }
  bool empty() const { return outlines_.empty(); }
  std::span<const RowOutline> outlines() const { return outlines_; }
  // Throws what `make` throws.
  TokenRow operator[](size_t i) const;

 private:
  std::vector<RowOutline> outlines_;
  Make make_;
  std::shared_ptr<const std::vector<TokenRow>> kept_;
};

// Adds a row's tokens, labels and id to a digest.
void add_row(Sha256& hash, const TokenRow& row);

}  // namespace dlm
