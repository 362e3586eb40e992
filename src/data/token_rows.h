// Document rows as token rows, every one of them or an error: nothing is cut silently.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "data/rows.h"

namespace dlm {

// All rows of a document. Throws Error(kTrain) with the line of a pair that is longer than
// max_tokens, saying that it is the base's context when it is.
std::vector<TokenRow> tokenize_rows(const DocumentRows& rows, const ChatFormat& format,
                                    const std::optional<std::string>& system_prompt,
                                    int64_t max_tokens, const std::string& document_path,
                                    int64_t context = 0);

}  // namespace dlm
