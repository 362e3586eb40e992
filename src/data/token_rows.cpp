#include "data/token_rows.h"

#include <charconv>

#include "support/error.h"
#include "support/hash.h"

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

}  // namespace

std::vector<TokenRow> tokenize_rows(const DocumentRows& rows, const ChatFormat& format,
                                    const std::optional<std::string>& system_prompt,
                                    int64_t max_tokens, const std::string& document_path,
                                    int64_t context) {
  std::vector<TokenRow> out;
  for (size_t i = 0; i < rows.rows.size(); ++i) {
    const DocumentRow& source = rows.rows[i];
    if (source.kind == RowKind::kText) {
      int64_t part = 0;
      for (TokenRow& row : format.text_rows(source.text, max_tokens)) {
        row.id = content_id("text", source.section_id, source.sub_index, part++);
        row.source = i;
        out.push_back(std::move(row));
      }
      continue;
    }
    TokenRow row;
    try {
      row = format.conversation(source.question, source.answer, system_prompt);
    } catch (const Error& error) {
      if (!error.place().path.empty()) throw;
      throw error.at({document_path, source.line, 1});
    }
    if (static_cast<int64_t>(row.tokens.size()) > max_tokens) {
      const Place place{document_path, source.line, 1};
      const std::string size = "this pair has " + std::to_string(row.tokens.size()) + " tokens, ";
      if (max_tokens == context) {
        throw Error(ErrorKind::kTrain, size + "the base's context holds " + std::to_string(context),
                    "split the answer, or use a base with a longer context", place);
      }
      throw Error(ErrorKind::kTrain,
                  size + "more than the " + std::to_string(max_tokens) + " that a row may have",
                  "raise training.sequence_len up to the base's context, or split the answer",
                  place);
    }
    row.id = content_id("chat", source.section_id, source.sub_index, 0);
    row.source = i;
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace dlm
