// Small tokenizer files for tests, written out as JSON text.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "support/error.h"
#include "support/json.h"
#include "text/tokenizer.h"

namespace dlm {

using Ids = std::vector<int32_t>;

// A file with these members; absent ones are null.
inline Json tokenizer_json(const std::string& model, const std::string& members = "") {
  return parse_json("{\"version\": \"1.0\", " + members + (members.empty() ? "" : ", ") +
                    "\"model\": " + model + "}");
}

inline Tokenizer make_tokenizer(const std::string& model, const std::string& members = "") {
  return Tokenizer::from_json(tokenizer_json(model, members), "t.json");
}

// Letters a to e, a blank as the byte-level character, and a few merges.
inline constexpr const char* kByteModel = R"json({"type": "BPE",
  "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "Ġ": 5, "ab": 6, "abc": 7, "Ġa": 8, "Ġab": 9,
            "Ã": 10, "©": 11, "é": 12, "<|end|>": 13, "<s>": 14, ".": 15, "Ċ": 16},
  "merges": ["a b", "ab c", "Ġ a", "Ġ ab"]})json";

inline constexpr const char* kByteLevel =
    R"json("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
           "decoder": {"type": "ByteLevel"})json";

inline void expect_format_error(const std::function<void()>& action, const std::string& message) {
  try {
    action();
    ADD_FAILURE() << "no error; wanted: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_EQ(error.message(), message);
    EXPECT_FALSE(error.hint().empty());
  }
}

}  // namespace dlm
