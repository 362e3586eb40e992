// What stands inside instruction and preference sections: question and answer pairs, and triples of
// a prompt with a better and a worse answer. Headers inside code blocks are text.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "doc/section.h"

namespace dlm {

// Texts are parts of the section's.
struct QaPair {
  SharedText question;
  SharedText answer;
  int line = 0;           // file line of the "### Q" header
  bool is_probe = false;  // the header was "### Q !probe": held out to test what was learnt
  bool operator==(const QaPair&) const = default;
};

struct PreferenceTriple {
  SharedText prompt;
  SharedText chosen;
  SharedText rejected;
  int line = 0;  // file line of the "### Prompt" header
  bool operator==(const PreferenceTriple&) const = default;
};

// Bodies are trimmed of white space at both ends; neither list is ever empty. `path` goes into the
// place of errors, with the true file line. Throws Error(kParse).
void for_each_pair(const Section& section, std::string_view path,
                   const std::function<void(QaPair)>& on_pair);
std::vector<QaPair> parse_instruction(const Section& section, std::string_view path = {});
std::vector<PreferenceTriple> parse_preference(const Section& section, std::string_view path = {});

}  // namespace dlm
