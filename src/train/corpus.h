// Text for making a base: files and folders as token rows, and the order in which a run reads them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/exec.h"
#include "support/file.h"
#include "text/tokenizer.h"

namespace dlm {

// Ends every text of a file that holds several, and is token 0 of the vocabulary.
inline constexpr const char* kEndOfText = "<|endoftext|>";

// One file. Its texts are separated by <|endoftext|>; of a .dlm document the prose is one text and
// its question-answer pairs are conversations.
struct CorpusFile {
  fs::path path;
  std::string name;    // as people call it: the path that was given, or below a given folder
  int64_t copies = 1;  // so often it was listed
};

// Files as they are, and of folders every .txt, .md and .dlm file below, sorted by path; hidden
// ones are left out. Throws Error(kIo) for what is not there, Error(kUsage) when nothing is found.
std::vector<CorpusFile> list_corpus(const std::vector<fs::path>& paths);

// What a file gives.
struct CorpusText {
  std::vector<std::string> training;  // texts
  std::vector<std::string> held_out;  // the last `held_out` share of each, from a line border on
  std::vector<std::string> conversations;  // ChatML, each with <|endoftext|> at its end
};
// Throws Error(kIo, kEncoding or kParse) naming the file.
CorpusText read_corpus_file(const CorpusFile& file, double held_out);

// ids[begin, begin + count) are inputs, each the label of the one before it; one more id follows.
struct CorpusRow {
  uint32_t begin;
  uint32_t count;
};

struct Corpus {
  std::vector<uint16_t> ids;
  std::vector<CorpusRow> text_rows;
  std::vector<CorpusRow> chat_rows;

  int64_t num_tokens(const std::vector<CorpusRow>& rows) const;
  Batch batch_of(const std::vector<CorpusRow>& rows) const;
};

// Appends the tokens of texts as rows of up to `context` tokens that follow on each other, `copies`
// times; conversations that are no longer than `context` as rows of their own.
void append_texts(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                  int64_t context, int64_t copies, Corpus& corpus);
void append_conversations(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                          int64_t context, Corpus& corpus);

// One pass: all text rows, and chat rows, repeated or left out, so that they make up about `share`
// of the tokens.
std::vector<CorpusRow> epoch_rows(const Corpus& corpus, double share);

// The endless sequence of shuffled passes; a place in it is a number.
class RowSequence {
 public:
  RowSequence(std::vector<CorpusRow> rows, uint64_t seed, int64_t cursor);
  int64_t cursor() const { return cursor_; }
  const CorpusRow& peek();
  void advance() { ++cursor_; }

 private:
  void shuffle(int64_t epoch);

  std::vector<CorpusRow> rows_;
  std::vector<size_t> order_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  int64_t cursor_;
};

}  // namespace dlm
