// Document rows as token rows, every one of them or an error: nothing is cut silently.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "data/rows.h"
#include "data/token_cache.h"

namespace dlm {

// The token cache in the hands of tokenize_rows.
struct CachedTokens {
  TokenCache cache;
  std::string tokenizer_digest;  // of the files that turn text into tokens
  std::vector<bool> missing;     // which document rows it did not have
};

// All rows of a document. Throws Error(kTrain) at the line of the first pair that is longer than
// max_tokens, naming all such pairs with their lines and sizes, and saying that it is the base's
// context when it is.
std::vector<TokenRow> tokenize_rows(const DocumentRows& rows, const ChatFormat& format,
                                    const std::optional<std::string>& system_prompt,
                                    int64_t max_tokens, const std::string& document_path,
                                    int64_t context = 0, CachedTokens* cached = nullptr);

// What the cache did not have, of the rows that tokenize_rows made with the same arguments. Refers
// to `token_rows`.
std::vector<TokenCache::Fresh> fresh_entries(const DocumentRows& rows,
                                             std::span<const TokenRow> token_rows,
                                             const CachedTokens& cached,
                                             const std::optional<std::string>& system_prompt,
                                             int64_t max_tokens);

// What a plan says of the rows: how many tokens, the longest pair, texts that were cut.
std::vector<std::string> describe_rows(const DocumentRows& rows,
                                       const std::vector<TokenRow>& token_rows, int64_t max_tokens);

}  // namespace dlm
