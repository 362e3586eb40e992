// The tokenizer and the chat template that a GGUF file carries.
#pragma once

#include "formats/gguf.h"
#include "text/vocabulary.h"

namespace dlm {

// Throws Error(kFormat) naming file and key: lists that are missing or of different lengths, an
// unknown kind of vocabulary, ids beyond the list.
Vocabulary gguf_vocabulary(const GgufFile& file);

}  // namespace dlm
