// The machine that runs a template: statements write to the current output, expressions give
// values, scopes hold names. Internal to the interpreter.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/runtime.h"

namespace dlm::jinja {

// Names and their values; unknown names are looked for in the parent. Loops, macros and blocks open
// one.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> names;

  // Null when no scope has the name.
  const Value* find(const std::string& name) const;
  void set(const std::string& name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

class Machine {
 public:
  Machine(const DateTime& now, const Limits& limits) : now_(now), meter_(limits) {}
  // Namespaces and macros can hold each other; cutting their links frees them.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Rendering run(const Template& source, std::vector<std::pair<std::string, Value>> globals);

 private:
  enum class Flow { kNormal, kBreak, kContinue };

  // statements.cpp
  Flow run_block(const Block& block, const ScopePtr& scope);
  Flow run_node(const Node& node, const ScopePtr& scope);
  void write(const std::string& text);
  Flow run_if(const Node& node, const ScopePtr& scope);
  Flow run_for(const Node& node, const ScopePtr& scope);
  void assign(const Target& target, const Value& value, const ScopePtr& scope);
  std::string capture(const Block& body, const ScopePtr& scope);
  void run_call_block(const Node& node, const ScopePtr& scope);

  // expressions.cpp
  Value evaluate(const Expr& expr, const ScopePtr& scope);
  List evaluate_all(const Expr& expr, size_t first, const ScopePtr& scope);
  Arguments evaluate_arguments(const Expr& expr, const ScopePtr& scope);
  Value evaluate_dict(const Expr& expr, const ScopePtr& scope);
  void set_entry(Dict& members, const Value& key, Value value);
  Value evaluate_slice(const Expr& expr, const ScopePtr& scope);
  Value evaluate_binary(const Expr& expr, const ScopePtr& scope);
  Value evaluate_comparison(const Expr& expr, const ScopePtr& scope);
  Value filter_block(const Expr& expr, const ScopePtr& scope, Value text);

  // calls.cpp
  Value evaluate_call(const Expr& expr, const ScopePtr& scope);
  std::shared_ptr<const Macro> make_macro(const Node& node, std::string name,
                                          const ScopePtr& scope);
  Value call_macro(const Macro& macro, const Arguments& arguments, const Value* caller);
  Value call_function(const std::string& name, const Arguments& arguments);
  Value call_range(const Arguments& arguments);
  Value call_dict_or_namespace(const std::string& name, const Arguments& arguments);
  static void set_member(Namespace& space, const std::string& name, const Value& value);
  ScopePtr new_scope(ScopePtr parent);

  DateTime now_;
  Meter meter_;
  std::string output_;
  int num_captures_ = 0;  // output goes to a value instead of the text while this is above 0
  Value block_text_;      // what the filter of a filter block works on
  std::vector<Span> generations_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<const Macro>> macros_;
  std::vector<std::shared_ptr<Loop>> loops_;
};

}  // namespace dlm::jinja
