// A parsed Go template.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "export/gotemplate/value.h"

namespace dlm::gotemplate {

struct Pipeline;

// One word of a command: a constant, the dot, a variable, a function's name, or a pipeline in
// parentheses; each with fields behind it (".Role", "$m.Role", "(index .Messages 0).Role").
struct Operand {
  enum class Kind { kConstant, kDot, kVariable, kFunction, kPipeline };
  Kind kind = Kind::kConstant;
  Value constant;
  std::string name;  // of a variable or function
  std::shared_ptr<const Pipeline> pipeline;
  std::vector<std::string> fields;
};

using Command = std::vector<Operand>;

struct Pipeline {
  std::vector<std::string> variables;  // that it declares or sets
  bool declares = false;               // := rather than =
  std::vector<Command> commands;       // joined by |
  int line = 0;
};

struct Node {
  enum class Kind { kText, kAction, kIf, kWith, kRange, kBreak, kContinue };
  Kind kind = Kind::kText;
  std::string text;
  Pipeline pipeline;
  std::vector<Node> body;
  std::vector<Node> otherwise;  // the else branch
};

}  // namespace dlm::gotemplate
