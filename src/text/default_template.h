// The templates that stand in where a base brings none. Each has a name that is said to people,
// ends an answer with a control token, and needs tokens that a base may lack.
#pragma once

#include <string>

namespace dlm {

struct DefaultTemplate {
  const char* name;
  std::string jinja;
};

// "chatml": turns between <|im_start|> and <|im_end|>, for vocabularies that hold both.
DefaultTemplate chatml_template();
// "plain": speakers by name, each turn of the assistant ended by `eos_token`, for any vocabulary
// with an end-of-text token. `with_bos`: begins with `bos_token`.
DefaultTemplate plain_template(bool with_bos);

}  // namespace dlm
