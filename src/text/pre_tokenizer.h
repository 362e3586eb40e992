// The pre-tokenizer of a tokenizer.json: cuts a normalized text into the words that BPE merges
// inside of. It hands every word to a callback, so that a long text needs no list of words. It
// refuses kinds that it does not know.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/json.h"
#include "text/regex.h"
#include "text/word_scanner.h"

namespace dlm {

class PreTokenizer {
 public:
  using Sink = std::function<void(std::string_view)>;

  PreTokenizer() = default;  // the whole text is one word
  // Throws Error(kFormat).
  static PreTokenizer from_json(const Json& json);

  // Calls `sink` with each non-empty word. `at_start`: the text begins where the whole input
  // begins.
  void split(std::string_view text, bool at_start, const Sink& sink) const;

  // True when the words are raw bytes that the model must read through the byte alphabet: the last
  // step is ByteLevel, and writing the characters out only to look them up again is saved.
  bool gives_bytes() const { return gives_bytes_; }
  bool is_identity() const { return steps_.empty(); }

 private:
  enum class Kind { kCut, kByteLevel, kMetaspace };
  enum class Finder { kRegex, kScanner, kString, kDigits, kPunctuation };
  enum class Behavior { kRemoved, kIsolated, kContiguous, kMergedWithPrevious, kMergedWithNext };
  enum class Prepend { kAlways, kFirst, kNever };
  struct Step {
    Kind kind = Kind::kCut;
    // kCut
    Finder finder = Finder::kRegex;
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
    std::string string;  // kString: what to find; kMetaspace: the replacement character
    // kCut with a pattern; kByteLevel with its own split
    std::optional<Regex> regex;
    std::optional<WordScanner> scanner;
    // kByteLevel
    bool add_prefix_space = false;
    // kMetaspace
    Prepend prepend = Prepend::kNever;
    bool splits = true;  // kByteLevel too

    void set_pattern(std::string_view pattern);
  };

  void add(const Json& json, const std::string& where, int depth);
  void add_byte_level(const Json& json, const std::string& where);
  void add_metaspace(const Json& json, const std::string& where);
  void run(size_t step, std::string_view text, bool at_start, const Sink& sink) const;
  void run_byte_level(size_t step, std::string_view text, bool at_start, const Sink& sink) const;
  void run_metaspace(size_t step, std::string_view text, bool at_start, const Sink& sink) const;
  static Behavior behavior_of(const std::string& name, const std::string& where);
  template <class OnPiece>
  static void cut(const Step& step, std::string_view text, const OnPiece& on_piece);

  std::vector<Step> steps_;
  bool gives_bytes_ = false;
};

}  // namespace dlm
