#include "data/token_rows.h"

#include <algorithm>
#include <charconv>

#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"
#include "support/version.h"

namespace dlm {

namespace {

uint64_t content_id(std::string_view kind, std::string_view section_id, int64_t sub_index,
                    int64_t part) {
  const std::string key = std::string(kind) + "\n" + std::string(section_id) + "\n" +
                          std::to_string(sub_index) + "\n" + std::to_string(part);
  uint64_t id = 0;
  const std::string hex = sha256_hex(key);
  std::from_chars(hex.data(), hex.data() + 16, id, 16);
  return id;
}

// Of all that a row's tokens follow from.
TokenCacheKey key_of(const DocumentRow& row, const CachedTokens& cached,
                     const std::optional<std::string>& system_prompt, int64_t max_tokens) {
  const bool is_chat = row.kind == RowKind::kChat;
  const std::string limit = std::to_string(max_tokens);
  const std::string_view parts[] = {kVersion,
                                    cached.tokenizer_digest,
                                    is_chat ? "chat" : "text",
                                    is_chat ? std::string_view() : std::string_view(limit),
                                    is_chat && system_prompt ? *system_prompt : std::string_view(),
                                    is_chat ? row.question() : row.text(),
                                    row.answer()};
  return token_cache_key(parts);
}

// Whether cached rows can be those of one document row, seen in order; a check against files that
// another program wrote.
class RowCheck {
 public:
  RowCheck(const DocumentRow& source, const ChatFormat& format)
      : source_(source),
        vocab_size_(static_cast<int64_t>(format.tokenizer().vocab_size())),
        prefix_(source.kind == RowKind::kText ? format.text_prefix_size() : 0) {}

  bool accepts(const TokenRow& row) {
    ++num_rows_;
    if (row.tokens.size() <= prefix_ || row.next < -1 || row.next >= vocab_size_) return false;
    const bool are_tokens = std::all_of(row.tokens.begin(), row.tokens.end(),
                                        [&](int32_t id) { return id >= 0 && id < vocab_size_; });
    if (!are_tokens) return false;
    if (source_.kind == RowKind::kChat) return num_rows_ == 1;
    // Each lies behind the one before, or is of the same single character.
    const std::string_view text = source_.text();
    const bool goes_on =
        row.text_begin >= end_ || (row.text_begin == begin_ && row.text_end == end_);
    begin_ = row.text_begin;
    end_ = row.text_end;
    return goes_on && begin_ < end_ && end_ <= text.size() && is_border(text, begin_) &&
           is_border(text, end_);
  }

 private:
  static bool is_border(std::string_view text, size_t at) {
    return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
  }

  const DocumentRow& source_;
  int64_t vocab_size_;
  size_t prefix_;
  size_t num_rows_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

struct LongPair {
  int line;
  size_t num_tokens;
};

[[noreturn]] void refuse_long_pairs(const std::vector<LongPair>& pairs, int64_t max_tokens,
                                    int64_t context, const std::string& document_path) {
  const bool is_context = max_tokens == context;
  const std::string limit =
      is_context ? "the base's context holds " + std::to_string(context)
                 : "more than the " + std::to_string(max_tokens) + " that a row may have";
  std::string message =
      "this pair has " + std::to_string(pairs[0].num_tokens) + " tokens, " + limit;
  if (pairs.size() > 1) {
    constexpr size_t kShown = 20;
    std::vector<std::string> others;
    for (size_t i = 1; i < std::min(pairs.size(), kShown + 1); ++i) {
      others.push_back("line " + std::to_string(pairs[i].line) + " (" +
                       std::to_string(pairs[i].num_tokens) + ")");
    }
    if (pairs.size() > kShown + 1) {
      others.push_back(std::to_string(pairs.size() - kShown - 1) + " more");
    }
    message += "; so have those at " + join(others, ", ");
  }
  throw Error(ErrorKind::kTrain, message,
              is_context ? "split the answer, or use a base with a longer context"
                         : "raise training.sequence_len up to the base's context, or split the "
                           "answer",
              {document_path, pairs[0].line, 1});
}

}  // namespace

void tokenize_row(const DocumentRow& row, const ChatFormat& format,
                  const std::optional<std::string>& system_prompt, int64_t max_tokens,
                  const std::string& document_path, const std::function<void(TokenRow)>& on_row) {
  if (row.kind == RowKind::kText) {
    format.for_each_text_row(row.text(), max_tokens, on_row);
    return;
  }
  std::optional<TokenRow> pair;
  try {
    pair = format.conversation(row.question(), row.answer(), system_prompt);
  } catch (const Error& error) {
    if (!error.place().path.empty()) throw;
    throw error.at({document_path, row.line, 1});
  }
  on_row(*std::move(pair));
}

std::vector<RowOutline> outline_rows(const DocumentRows& rows, const ChatFormat& format,
                                     const std::optional<std::string>& system_prompt,
                                     int64_t max_tokens, const std::string& document_path,
                                     int64_t context, CachedTokens* cached,
                                     const OnTokenRow& on_row) {
  std::vector<RowOutline> out;
  out.reserve(rows.rows.size());
  if (cached != nullptr) cached->missing.assign(rows.rows.size(), false);
  std::vector<LongPair> long_pairs;
  const auto prefix = static_cast<uint32_t>(format.text_prefix_size());
  for (size_t i = 0; i < rows.rows.size(); ++i) {
    const DocumentRow& source = rows.rows[i];
    const bool is_chat = source.kind == RowKind::kChat;
    int64_t part = 0;
    const auto add = [&](TokenRow row) {
      if (is_chat && static_cast<int64_t>(row.tokens.size()) > max_tokens) {
        long_pairs.push_back({source.line, row.tokens.size()});
      }
      row.id = content_id(is_chat ? "chat" : "text", source.section->id, source.sub_index, part);
      row.source = static_cast<uint32_t>(i);
      RowOutline outline = outline_of(row);
      if (part++ > 0 && row.text_begin == out.back().text_begin) {
        outline.first_token = out.back().first_token + out.back().num_tokens - prefix;
      }
      out.push_back(outline);
      if (on_row) on_row(row);
    };
    if (cached != nullptr) {
      RowCheck check(source, format);
      const auto accept = [&](const TokenRow& row) { return check.accepts(row); };
      const auto key = key_of(source, *cached, system_prompt, max_tokens);
      if (cached->cache.find(key, accept, add) && (part > 0 || !is_chat)) continue;
      cached->missing[i] = true;
    }
    tokenize_row(source, format, system_prompt, max_tokens, document_path, add);
  }
  if (!long_pairs.empty()) refuse_long_pairs(long_pairs, max_tokens, context, document_path);
  return out;
}

TokenRow make_row(const RowOutline& outline, const DocumentRows& rows, const ChatFormat& format,
                  const std::optional<std::string>& system_prompt) {
  const DocumentRow& source = rows.rows.at(outline.source);
  TokenRow row;
  if (source.kind == RowKind::kChat) {
    row = format.conversation(source.question(), source.answer(), system_prompt);
  } else {
    row.tokens = format.text_row_tokens(source.text(), outline);
    row.loss_begin = outline.loss_begin;
    row.next = outline.next;
    row.text_begin = outline.text_begin;
    row.text_end = outline.text_end;
  }
  if (row.tokens.size() != outline.num_tokens || row.loss_begin != outline.loss_begin) {
    throw Error(ErrorKind::kTrain, "a row has other tokens than the token cache says",
                "remove the cache: `dlm cache clear`");
  }
  row.id = outline.id;
  row.source = outline.source;
  return row;
}

std::vector<TokenCache::Fresh> fresh_entries(const DocumentRows& rows, const CachedTokens& cached,
                                             const std::optional<std::string>& system_prompt,
                                             int64_t max_tokens) {
  std::vector<TokenCache::Fresh> fresh;
  for (size_t i = 0; i < cached.missing.size(); ++i) {
    if (!cached.missing[i]) continue;
    fresh.push_back({key_of(rows.rows[i], cached, system_prompt, max_tokens), i});
  }
  return fresh;
}

std::vector<std::string> describe_rows(const DocumentRows& rows,
                                       std::span<const RowOutline> outlines, int64_t max_tokens) {
  size_t num_tokens = 0, longest = 0;
  int longest_line = 0;
  std::vector<uint32_t> num_parts(rows.rows.size());
  for (const RowOutline& row : outlines) {
    num_tokens += row.num_tokens;
    ++num_parts[row.source];
    const DocumentRow& source = rows.rows[row.source];
    if (source.kind == RowKind::kChat && row.num_tokens > longest) {
      longest = row.num_tokens;
      longest_line = source.line;
    }
  }
  const auto counted = [](int64_t count, const char* noun) {
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
  };
  std::string first = counted(rows.num_chat, "pair") + " and " + counted(rows.num_text, "text") +
                      ": " + counted(static_cast<int64_t>(outlines.size()), "row") + ", " +
                      counted(static_cast<int64_t>(num_tokens), "token");
  if (longest > 0) {
    first += "; the longest pair has " + std::to_string(longest) + " of " +
             std::to_string(max_tokens) + " tokens";
    if (longest_line > 0) first += " (line " + std::to_string(longest_line) + ")";
  }
  std::vector<std::string> lines = {std::move(first)};
  int64_t cut_texts = 0, cut_rows = 0;
  for (const uint32_t parts : num_parts) {
    if (parts < 2) continue;
    ++cut_texts;
    cut_rows += static_cast<int64_t>(parts);
  }
  if (cut_texts > 0) {
    lines.push_back(counted(cut_texts, "long text") + " cut into " + counted(cut_rows, "row") +
                    " at borders of sentences or lines");
  }
  return lines;
}

}  // namespace dlm
