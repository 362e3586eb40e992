#include "token_data.h"

#include <algorithm>

#include "chat_rows.h"

namespace dlm {

namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

std::vector<std::string> documents(const std::string& text) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(kEndOfText, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + kEndOfText.size();
  }
  return out;
}

void append(const std::vector<int32_t>& ids, TokenData& data) {
  for (const int32_t id : ids) data.ids.push_back(static_cast<uint16_t>(id));
}

}  // namespace

void append_corpus(const Tokenizer& tokenizer, const std::string& text, int64_t context, int repeat,
                   TokenData& data) {
  const std::vector<std::string> books = documents(text);
  const size_t first = data.ids.size();
  for (const std::string& book : books)
    append(tokenizer.encode(book + std::string(kEndOfText), false), data);
  std::vector<TokenRow> rows;
  for (size_t at = first; at + 1 < data.ids.size(); at += static_cast<size_t>(context)) {
    const size_t count = std::min(static_cast<size_t>(context), data.ids.size() - 1 - at);
    rows.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(count)});
  }
  for (int i = 0; i < repeat; ++i)
    data.text_rows.insert(data.text_rows.end(), rows.begin(), rows.end());
  for (const std::string& book : books) {
    for (const std::string& chat : derive_chat_rows(book)) {
      const std::vector<int32_t> ids = tokenizer.encode(chat, false);
      if (static_cast<int64_t>(ids.size()) > context) continue;
      data.chat_rows.push_back(
          {static_cast<uint32_t>(data.ids.size()), static_cast<uint32_t>(ids.size() - 1)});
      append(ids, data);
    }
  }
}

TokenData text_rows_of(const Tokenizer& tokenizer, const std::string& text, int64_t context) {
  TokenData data;
  append(tokenizer.encode(std::string(kEndOfText) + text, false), data);
  for (size_t at = 0; at + 1 < data.ids.size(); at += static_cast<size_t>(context)) {
    const size_t count = std::min(static_cast<size_t>(context), data.ids.size() - 1 - at);
    data.text_rows.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(count)});
  }
  return data;
}

}  // namespace dlm
