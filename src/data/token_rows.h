// Document rows as training rows, every one of them or an error: nothing is cut silently.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "data/rows.h"
#include "data/token_cache.h"
#include "data/token_row.h"

namespace dlm {

// The token cache in the hands of tokenize_rows.
struct CachedTokens {
  TokenCache cache;
  std::string tokenizer_digest;  // of the files that turn text into tokens
  std::vector<bool> missing;     // which document rows it did not have
};

// Calls `on_row` with each row of one document row, without ids and sources; of a pair one. Throws
// Error(kTrain) at the row's line.
void tokenize_row(const DocumentRow& row, const ChatFormat& format,
                  const std::optional<std::string>& system_prompt, int64_t max_tokens,
                  const std::string& document_path, const std::function<void(TokenRow)>& on_row);

// Called with each row once, in order, while its tokens are there.
using OnTokenRow = std::function<void(const TokenRow&)>;

// All rows of a document. Throws Error(kTrain) at the line of the first pair that is longer than
// max_tokens, naming all such pairs with their lines and sizes, and saying that it is the base's
// context when it is.
std::vector<RowOutline> outline_rows(const DocumentRows& rows, const ChatFormat& format,
                                     const std::optional<std::string>& system_prompt,
                                     int64_t max_tokens, const std::string& document_path,
                                     int64_t context = 0, CachedTokens* cached = nullptr,
                                     const OnTokenRow& on_row = {});

// One of them with its tokens. Throws Error(kTrain) when it is not as long as its outline says,
// which then came from a token cache that another program wrote.
TokenRow make_row(const RowOutline& outline, const DocumentRows& rows, const ChatFormat& format,
                  const std::optional<std::string>& system_prompt);

// What the cache did not have, of the rows that outline_rows read with the same arguments.
std::vector<TokenCache::Fresh> fresh_entries(const DocumentRows& rows, const CachedTokens& cached,
                                             const std::optional<std::string>& system_prompt,
                                             int64_t max_tokens);

// What a plan says of the rows: how many tokens, the longest pair, texts that were cut.
std::vector<std::string> describe_rows(const DocumentRows& rows,
                                       std::span<const RowOutline> outlines, int64_t max_tokens);

}  // namespace dlm
