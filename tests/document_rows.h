// Document rows that no document made.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "data/rows.h"

namespace dlm {

// `section` is its section but for the content.
inline DocumentRow prose_row(const std::string& text, RowSection section = {}) {
  section.content = text;
  const auto known = std::make_shared<const RowSection>(std::move(section));
  return DocumentRow::of_prose(known, known->content);
}

inline DocumentRow pair_row(const std::string& question, const std::string& answer,
                            RowSection section = {}) {
  section.content = question + "\n" + answer;
  const auto known = std::make_shared<const RowSection>(std::move(section));
  const std::string_view all = known->content;
  return DocumentRow::of_pair(known, all.substr(0, question.size()),
                              all.substr(question.size() + 1));
}

// Gives the row another section with the same content.
inline void set_section(DocumentRow& row, RowSection section) {
  section.content = row.section->content;
  row.section = std::make_shared<const RowSection>(std::move(section));
}

}  // namespace dlm
