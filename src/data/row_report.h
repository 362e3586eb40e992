// What is odd about the rows of a document as a whole: rows that stand there twice, and questions
// that are answered differently.
#pragma once

#include <string>
#include <vector>

#include "data/rows.h"
#include "doc/warning.h"

namespace dlm {

// Keeps the first of rows that are the same, byte for byte: of pairs question and answer, of prose
// the text. Warns of each, and of questions in the same words whose answers have others (these all
// are trained). A replayed row that is the same as another leaves without a word. At most 20
// warnings of each kind, and one that counts the others.
std::vector<Warning> drop_repeated_rows(DocumentRows& rows, const std::string& document_path);

}  // namespace dlm
