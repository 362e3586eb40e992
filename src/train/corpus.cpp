#include "train/corpus.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>

#include "doc/document.h"
#include "doc/grammar.h"
#include "engine/random.h"
#include "support/error.h"
#include "support/text.h"
#include "train/derived_chat.h"

namespace dlm {

namespace {

bool is_text_file(const fs::path& path) {
  const std::string suffix = lower_ascii(path.extension().string());
  return suffix == ".txt" || suffix == ".md" || suffix == ".dlm";
}

void add_folder(const fs::path& folder, std::vector<CorpusFile>& files) {
  std::vector<fs::path> found;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error), end;
  while (!error && it != end) {
    const bool is_hidden = it->path().filename().string().starts_with('.');
    if (it->is_directory(error) && (is_hidden || it->is_symlink())) {
      it.disable_recursion_pending();
    } else if (!is_hidden && it->is_regular_file(error) && is_text_file(it->path())) {
      found.push_back(it->path());
    }
    it.increment(error);
  }
  if (error) {
    throw Error(ErrorKind::kIo, "cannot read the folder: " + error.message(), "",
                {folder.string()});
  }
  std::sort(found.begin(), found.end(),
            [](const fs::path& a, const fs::path& b) { return a.string() < b.string(); });
  for (const fs::path& path : found) {
    files.push_back({path, path.lexically_relative(folder).generic_string()});
  }
}

std::string turn(std::string_view role, std::string_view text) {
  return "<|im_start|>" + std::string(role) + "\n" + std::string(trim(text)) + "<|im_end|>\n";
}

void add_document(const std::string& bytes, const CorpusFile& file, CorpusText& text) {
  const Document document = parse_document(bytes, file.path.string());
  std::string prose;
  for (const Section& section : document.sections) {
    if (section.type == SectionType::kProse) prose += section.content.str() + "\n";
    if (section.type != SectionType::kInstruction) continue;
    for (const QaPair& pair : parse_instruction(section, file.path.string())) {
      text.conversations.push_back(turn("user", pair.question) + turn("assistant", pair.answer) +
                                   kEndOfText);
    }
  }
  if (!trim(prose).empty()) text.training.push_back(std::move(prose));
}

// Cuts the end off, from a line border on; a text without one stays whole.
std::string cut_end(std::string& text, double share) {
  const auto kept = static_cast<size_t>((1.0 - share) * static_cast<double>(text.size()));
  const size_t line_end = text.find('\n', kept);
  if (share <= 0 || line_end == std::string::npos || line_end + 1 >= text.size()) return {};
  std::string end = text.substr(line_end + 1);
  text.resize(line_end + 1);
  return end;
}

void append_ids(const std::vector<int32_t>& ids, Corpus& corpus) {
  check(corpus.ids.size() + ids.size() <= std::numeric_limits<uint32_t>::max(),
        "a corpus of more than four thousand million tokens");
  for (const int32_t id : ids) corpus.ids.push_back(static_cast<uint16_t>(id));
}

}  // namespace

std::vector<CorpusFile> list_corpus(const std::vector<fs::path>& paths) {
  std::vector<CorpusFile> listed;
  for (const fs::path& path : paths) {
    if (is_folder(path)) {
      add_folder(path, listed);
    } else if (path_exists(path)) {
      listed.push_back({path, path.filename().string()});
    } else {
      throw Error(ErrorKind::kIo, "there is no such file or folder", "check the path",
                  {path.string()});
    }
  }
  std::vector<CorpusFile> files;
  for (CorpusFile& file : listed) {
    const auto same = std::find_if(files.begin(), files.end(), [&](const CorpusFile& f) {
      return f.path.lexically_normal() == file.path.lexically_normal();
    });
    if (same != files.end()) {
      ++same->copies;
    } else {
      files.push_back(std::move(file));
    }
  }
  if (files.empty()) {
    throw Error(ErrorKind::kUsage, "there is no .txt, .md or .dlm file to read",
                "give files, or folders that hold some");
  }
  return files;
}

CorpusText read_corpus_file(const CorpusFile& file, double held_out) {
  const std::string bytes = read_file(file.path, size_t{4} << 30);
  CorpusText text;
  if (lower_ascii(file.path.extension().string()) == ".dlm") {
    add_document(bytes, file, text);
  } else {
    if (const auto fault = find_utf8_fault(bytes)) {
      throw Error(ErrorKind::kEncoding,
                  "byte " + std::to_string(fault->byte_offset) + ": " + fault->reason,
                  "convert the file to UTF-8", {file.path.string()});
    }
    const std::string all = normalize_newlines(bytes);
    const std::string_view separator = kEndOfText;
    for (size_t begin = 0; begin < all.size();) {
      const size_t end = std::min(all.find(separator, begin), all.size());
      if (!trim(std::string_view(all).substr(begin, end - begin)).empty()) {
        text.training.push_back(all.substr(begin, end - begin));
      }
      begin = end + separator.size();
    }
    for (std::string& one : text.training) {
      std::string end = cut_end(one, held_out);
      if (!end.empty()) text.held_out.push_back(std::move(end));
      for (std::string& row : derive_chat_rows(one)) text.conversations.push_back(std::move(row));
    }
  }
  return text;
}

int64_t Corpus::num_tokens(const std::vector<CorpusRow>& rows) const {
  return std::accumulate(rows.begin(), rows.end(), int64_t{0},
                         [](int64_t sum, const CorpusRow& row) { return sum + row.count; });
}

Batch Corpus::batch_of(const std::vector<CorpusRow>& rows) const {
  Batch batch;
  for (const CorpusRow& row : rows) {
    const auto* first = ids.data() + row.begin;
    const std::vector<int32_t> tokens(first, first + row.count);
    const std::vector<int32_t> labels(first + 1, first + row.count + 1);
    batch.add_row(tokens, labels, batch.rows.size());
  }
  return batch;
}

void append_texts(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                  int64_t context, int64_t copies, Corpus& corpus) {
  const size_t first = corpus.ids.size();
  for (const std::string& text : texts) {
    append_ids(tokenizer.encode_ordinary(text), corpus);
    append_ids(tokenizer.encode(kEndOfText, false), corpus);
  }
  std::vector<CorpusRow> rows;
  for (size_t at = first; at + 1 < corpus.ids.size(); at += static_cast<size_t>(context)) {
    const size_t count = std::min(static_cast<size_t>(context), corpus.ids.size() - 1 - at);
    rows.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(count)});
  }
  for (int64_t i = 0; i < copies; ++i) {
    corpus.text_rows.insert(corpus.text_rows.end(), rows.begin(), rows.end());
  }
}

void append_conversations(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                          int64_t context, Corpus& corpus) {
  for (const std::string& text : texts) {
    const std::vector<int32_t> ids = tokenizer.encode(text, false);
    if (static_cast<int64_t>(ids.size()) > context) continue;
    corpus.chat_rows.push_back(
        {static_cast<uint32_t>(corpus.ids.size()), static_cast<uint32_t>(ids.size() - 1)});
    append_ids(ids, corpus);
  }
}

std::vector<CorpusRow> epoch_rows(const Corpus& corpus, double share) {
  std::vector<CorpusRow> rows = corpus.text_rows;
  const auto text = static_cast<double>(corpus.num_tokens(corpus.text_rows));
  // Of text that is mostly conversations, each is read once.
  const auto wanted =
      corpus.text_rows.empty()
          ? corpus.num_tokens(corpus.chat_rows)
          : static_cast<int64_t>(std::min(share, 0.9) * text / (1.0 - std::min(share, 0.9)));
  std::vector<size_t> order(corpus.chat_rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [](size_t a, size_t b) { return mix64(a) < mix64(b); });
  int64_t taken = 0;
  for (size_t i = 0; taken < wanted && !order.empty(); ++i) {
    rows.push_back(corpus.chat_rows[order[i % order.size()]]);
    taken += rows.back().count;
  }
  return rows;
}

RowSequence::RowSequence(std::vector<CorpusRow> rows, uint64_t seed, int64_t cursor)
    : rows_(std::move(rows)), seed_(seed), cursor_(cursor) {
  check(!rows_.empty(), "a sequence of no rows");
}

const CorpusRow& RowSequence::peek() {
  const auto size = static_cast<int64_t>(rows_.size());
  if (const int64_t epoch = cursor_ / size; epoch != epoch_) shuffle(epoch);
  return rows_[order_[static_cast<size_t>(cursor_ % size)]];
}

void RowSequence::shuffle(int64_t epoch) {
  epoch_ = epoch;
  std::vector<std::pair<uint64_t, size_t>> keyed;
  for (size_t i = 0; i < rows_.size(); ++i) {
    keyed.emplace_back(random_key({seed_, static_cast<uint64_t>(epoch), i}), i);
  }
  std::sort(keyed.begin(), keyed.end());
  order_.clear();
  for (const auto& [key, index] : keyed) order_.push_back(index);
}

}  // namespace dlm
