// The syntax tree of a template. Two node types, one for expressions and one for statements; which
// children a kind has is said beside it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace dlm::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  enum class Kind {
    kConstant,   // constant
    kName,       // text
    kList,       // children
    kTuple,      // children
    kDict,       // children: key, value, key, value, ...
    kAttribute,  // children[0] . text
    kSubscript,  // children[0] [ children[1] ]
    kSlice,      // children[0] [ 1 : 2 : 3 ], absent ones null
    kCall,       // children[0] ( children[1...], named )
    kFilter,     // children[0] | text ( children[1...], named ); children[0] null in a filter block
    kTest,       // children[0] is text ( children[1...] )
    kUnary,      // text: "-", "+", "not"
    kBinary,     // text: "+", "-", "*", "/", "//", "%", "**", "and", "or"
    kConcat,     // children joined as text
    kCompare,    // children[0] operators[0] children[1] operators[1] ...
    kUnpack,     // *children[0], among the arguments of a call
    kCondition,  // children: value, test, other value (null: undefined)
  };

  Kind kind;
  int line;
  int depth = 1;  // of the tree below
  std::string text;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<std::pair<std::string, ExprPtr>> named;  // the name "**" unpacks a dict
  std::vector<std::string> operators;
};

struct Node;
using Block = std::vector<Node>;

// Where a value goes: a name, an attribute of a namespace, or several targets in a tuple.
struct Target {
  std::string name;
  std::string attribute;  // "" when the target is the name itself
  std::vector<Target> parts;
};

struct Node {
  enum class Kind {
    kText,        // text
    kPrint,       // expr
    kIf,          // branches (test null: else)
    kFor,         // target in expr if test: body, else_body
    kSet,         // target = expr
    kSetBlock,    // target = body | filters (expr or null)
    kMacro,       // text(parameters): body
    kCallBlock,   // expr is a call; parameters, body
    kFilter,      // expr on body
    kGeneration,  // body
    kWith,        // assignments, body
    kBreak,
    kContinue,
  };
  struct Branch {
    ExprPtr test;
    Block body;
  };

  Kind kind;
  int line;
  std::string text;
  ExprPtr expr;
  ExprPtr test;
  Target target;
  Block body;
  Block else_body;
  std::vector<Branch> branches;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // default or null
  std::vector<std::pair<Target, ExprPtr>> assignments;
};

struct Template {
  Block body;
  bool has_generation = false;  // a {% generation %} block somewhere
};

}  // namespace dlm::jinja
