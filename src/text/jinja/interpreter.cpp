// The interpreter: statements write to the current output, expressions give values, scopes hold
// names.
#include "text/jinja/interpreter.h"

#include <algorithm>

#include "text/jinja/runtime.h"

namespace dlm::jinja {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> names;

  const Value* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
      for (const auto& [key, value] : scope->names) {
        if (key == name) return &value;
      }
    }
    return nullptr;
  }

  void set(const std::string& name, Value value) {
    for (auto& [key, old] : names) {
      if (key == name) {
        old = std::move(value);
        return;
      }
    }
    names.emplace_back(name, std::move(value));
  }
};

namespace {

using Kind = Value::Kind;
using ScopePtr = std::shared_ptr<Scope>;

constexpr int64_t kMaxRange = 100'000;

enum class Flow { kNormal, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(const DateTime& now, const Limits& limits) : now_(now), meter_(limits) {}

  // Namespaces and macros can hold each other; cutting their links frees them.
  ~Interpreter() {
    for (const auto& space : namespaces_) space->members.clear();
    for (const auto& macro : macros_) macro->scope.reset();
    for (const auto& loop : loops_) loop->last_seen.clear();
  }
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  Rendering run(const Template& source, std::vector<std::pair<std::string, Value>> globals) {
    const ScopePtr functions = new_scope(nullptr);
    for (const char* name : {"raise_exception", "strftime_now", "namespace", "range", "dict"}) {
      functions->set(name, Value::function(name));
    }
    const ScopePtr given = new_scope(functions);
    for (auto& [name, value] : globals) given->set(name, std::move(value));
    run_block(source.body, new_scope(given));
    return {std::move(output_), std::move(generations_)};
  }

 private:
  ScopePtr new_scope(ScopePtr parent) {
    meter_.bytes(sizeof(Scope));
    auto scope = std::make_shared<Scope>();
    scope->parent = std::move(parent);
    return scope;
  }

  // --- statements

  Flow run_block(const Block& block, const ScopePtr& scope) {
    const Meter::Level level(meter_);
    for (const Node& node : block) {
      meter_.line = node.line;
      meter_.step();
      const Flow flow = run_node(node, scope);
      if (flow != Flow::kNormal) return flow;
    }
    return Flow::kNormal;
  }

  Flow run_node(const Node& node, const ScopePtr& scope) {
    switch (node.kind) {
      case Node::Kind::kText:
        write(node.text);
        return Flow::kNormal;
      case Node::Kind::kPrint:
        write(to_text(evaluate(*node.expr, scope), meter_));
        return Flow::kNormal;
      case Node::Kind::kIf:
        return run_if(node, scope);
      case Node::Kind::kFor:
        return run_for(node, scope);
      case Node::Kind::kSet:
        assign(node.target, evaluate(*node.expr, scope), scope);
        return Flow::kNormal;
      case Node::Kind::kSetBlock: {
        Value text = make_string(meter_, capture(node.body, new_scope(scope)));
        if (node.expr != nullptr) text = filter_block(*node.expr, scope, std::move(text));
        assign(node.target, text, scope);
        return Flow::kNormal;
      }
      case Node::Kind::kMacro:
        scope->set(node.text, Value::of(make_macro(node, node.text, scope)));
        return Flow::kNormal;
      case Node::Kind::kCallBlock:
        run_call_block(node, scope);
        return Flow::kNormal;
      case Node::Kind::kFilter: {
        Value text = make_string(meter_, capture(node.body, new_scope(scope)));
        write(to_text(filter_block(*node.expr, scope, std::move(text)), meter_));
        return Flow::kNormal;
      }
      case Node::Kind::kGeneration: {
        const size_t begin = output_.size();
        const Flow flow = run_block(node.body, new_scope(scope));
        if (num_captures_ == 0) generations_.push_back({begin, output_.size()});
        return flow;
      }
      case Node::Kind::kWith: {
        const ScopePtr inner = new_scope(scope);
        for (const auto& [target, expr] : node.assignments) {
          assign(target, evaluate(*expr, scope), inner);
        }
        return run_block(node.body, inner);
      }
      case Node::Kind::kBreak:
        return Flow::kBreak;
      case Node::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNormal;
  }

  void write(const std::string& text) {
    output_ += text;
    meter_.bytes(text.size());
    meter_.output(output_.size());
  }

  Flow run_if(const Node& node, const ScopePtr& scope) {
    for (const Node::Branch& branch : node.branches) {
      if (branch.test == nullptr || evaluate(*branch.test, scope).truth()) {
        return run_block(branch.body, scope);
      }
    }
    return Flow::kNormal;
  }

  Flow run_for(const Node& node, const ScopePtr& scope) {
    List items = iterate(meter_, evaluate(*node.expr, scope));
    if (node.test != nullptr) {
      List kept;
      for (Value& item : items) {
        const ScopePtr inner = new_scope(scope);
        assign(node.target, item, inner);
        if (evaluate(*node.test, inner).truth()) kept.push_back(std::move(item));
      }
      items = std::move(kept);
    }
    if (items.empty()) return run_block(node.else_body, new_scope(scope));
    auto loop = std::make_shared<Loop>();
    loops_.push_back(loop);
    meter_.bytes(sizeof(Loop));
    loop->items = std::make_shared<const List>(std::move(items));
    for (; loop->index < loop->items->size(); ++loop->index) {
      const ScopePtr inner = new_scope(scope);
      inner->set("loop", Value::of(loop));
      assign(node.target, (*loop->items)[loop->index], inner);
      if (run_block(node.body, inner) == Flow::kBreak) break;
    }
    return Flow::kNormal;
  }

  void assign(const Target& target, const Value& value, const ScopePtr& scope) {
    meter_.step();
    if (!target.parts.empty()) {
      const List items = iterate(meter_, value);
      if (items.size() != target.parts.size()) {
        meter_.fail("cannot unpack " + std::to_string(items.size()) + " values into " +
                    std::to_string(target.parts.size()) + " names");
      }
      for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i], scope);
      return;
    }
    if (target.attribute.empty()) return scope->set(target.name, value);
    const Value* object = scope->find(target.name);
    if (object == nullptr || !object->is(Kind::kNamespace)) {
      meter_.fail("'" + target.name + "' is not a namespace; only those have attributes to set");
    }
    set_member(object->as_namespace(), target.attribute, value);
  }

  static void set_member(Namespace& space, const std::string& name, const Value& value) {
    for (auto& [key, member] : space.members) {
      if (key == name) {
        member = value;
        return;
      }
    }
    space.members.emplace_back(name, value);
  }

  std::string capture(const Block& body, const ScopePtr& scope) {
    std::string outer;
    outer.swap(output_);
    ++num_captures_;
    run_block(body, scope);
    --num_captures_;
    outer.swap(output_);
    return outer;
  }

  std::shared_ptr<const Macro> make_macro(const Node& node, std::string name,
                                          const ScopePtr& scope) {
    auto macro = std::make_shared<Macro>();
    macro->definition = &node;
    macro->scope = scope;
    macro->name = std::move(name);
    meter_.bytes(sizeof(Macro));
    macros_.push_back(macro);
    return macro;
  }

  void run_call_block(const Node& node, const ScopePtr& scope) {
    const Value callee = evaluate(*node.expr->children[0], scope);
    if (!callee.is(Kind::kMacro)) meter_.fail("a call block needs a macro");
    const Value caller = Value::of(make_macro(node, "caller", scope));
    const Arguments arguments = evaluate_arguments(*node.expr, scope);
    write(to_text(call_macro(callee.as_macro(), arguments, &caller), meter_));
  }

  Value call_macro(const Macro& macro, const Arguments& arguments, const Value* caller) {
    const Meter::Level level(meter_);
    const Node& definition = *macro.definition;
    const ScopePtr scope = new_scope(macro.scope);
    if (arguments.positional.size() > definition.parameters.size()) {
      meter_.fail("the macro '" + macro.name + "' takes at most " +
                  std::to_string(definition.parameters.size()) + " arguments");
    }
    std::vector<bool> is_used(arguments.named.size());
    for (size_t i = 0; i < definition.parameters.size(); ++i) {
      const auto& [name, fallback] = definition.parameters[i];
      const auto named = std::find_if(
          arguments.named.begin(), arguments.named.end(),
          [&, &wanted = name](const auto& argument) { return argument.first == wanted; });
      if (named != arguments.named.end()) {
        is_used[static_cast<size_t>(named - arguments.named.begin())] = true;
      }
      if (i < arguments.positional.size()) {
        scope->set(name, arguments.positional[i]);
      } else if (named != arguments.named.end()) {
        scope->set(name, named->second);
      } else {
        scope->set(name, fallback == nullptr ? Value::undefined(name) : evaluate(*fallback, scope));
      }
    }
    for (size_t i = 0; i < is_used.size(); ++i) {
      if (is_used[i]) continue;
      meter_.fail("the macro '" + macro.name + "' takes no argument named '" +
                  arguments.named[i].first + "'");
    }
    if (caller != nullptr) scope->set("caller", *caller);
    const int line = meter_.line;
    Value text = make_string(meter_, capture(definition.body, scope));
    meter_.line = line;
    return text;
  }

  // --- expressions

  Value evaluate(const Expr& expr, const ScopePtr& scope) {
    const Meter::Level level(meter_);
    meter_.step();
    meter_.line = expr.line;
    const auto child = [&](size_t i) { return evaluate(*expr.children[i], scope); };
    switch (expr.kind) {
      case Expr::Kind::kConstant:
        return expr.constant;
      case Expr::Kind::kName: {
        const Value* found = scope->find(expr.text);
        return found == nullptr ? Value::undefined(expr.text) : *found;
      }
      case Expr::Kind::kList:
      case Expr::Kind::kTuple:
        return make_list(meter_, evaluate_all(expr, 0, scope), expr.kind == Expr::Kind::kTuple);
      case Expr::Kind::kDict:
        return evaluate_dict(expr, scope);
      case Expr::Kind::kAttribute:
        return get_attribute(meter_, child(0), expr.text);
      case Expr::Kind::kSubscript: {
        const Value object = child(0);
        return get_item(meter_, object, child(1));
      }
      case Expr::Kind::kSlice:
        return evaluate_slice(expr, scope);
      case Expr::Kind::kCall:
        return evaluate_call(expr, scope);
      case Expr::Kind::kFilter: {
        const Value input = expr.children[0] == nullptr ? block_text_ : child(0);
        return apply_filter(meter_, expr.text, input, evaluate_arguments(expr, scope));
      }
      case Expr::Kind::kTest: {
        const Value input = child(0);
        return Value::boolean(
            apply_test(meter_, expr.text, input, evaluate_arguments(expr, scope)));
      }
      case Expr::Kind::kUnary:
        return expr.text == "not" ? Value::boolean(!child(0).truth())
                                  : apply_sign(meter_, expr.text, child(0));
      case Expr::Kind::kBinary:
        return evaluate_binary(expr, scope);
      case Expr::Kind::kConcat: {
        std::string text;
        for (size_t i = 0; i < expr.children.size(); ++i) {
          text += to_text(child(i), meter_);
          meter_.output(text.size());
        }
        return make_string(meter_, std::move(text));
      }
      case Expr::Kind::kCompare:
        return evaluate_comparison(expr, scope);
      case Expr::Kind::kUnpack:
        meter_.fail("* stands outside of a call");
      case Expr::Kind::kCondition:
        if (child(1).truth()) return child(0);
        return expr.children[2] == nullptr ? Value::undefined("the other case") : child(2);
    }
    return {};
  }

  List evaluate_all(const Expr& expr, size_t first, const ScopePtr& scope) {
    List values;
    for (size_t i = first; i < expr.children.size(); ++i) {
      const Expr& child = *expr.children[i];
      if (child.kind != Expr::Kind::kUnpack) {
        values.push_back(evaluate(child, scope));
        continue;
      }
      const List items = iterate(meter_, evaluate(*child.children[0], scope));
      values.insert(values.end(), items.begin(), items.end());
    }
    return values;
  }

  Arguments evaluate_arguments(const Expr& expr, const ScopePtr& scope) {
    Arguments arguments{evaluate_all(expr, 1, scope), {}};
    for (const auto& [name, expression] : expr.named) {
      const Value value = evaluate(*expression, scope);
      if (name != "**") {
        arguments.named.emplace_back(name, value);
        continue;
      }
      if (!value.is(Kind::kDict)) meter_.fail("** needs a dict");
      for (const auto& [key, member] : value.as_dict()) {
        arguments.named.emplace_back(to_text(key, meter_), member);
      }
    }
    return arguments;
  }

  Value evaluate_dict(const Expr& expr, const ScopePtr& scope) {
    Dict members;
    for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
      const Value key = evaluate(*expr.children[i], scope);
      set_entry(members, key, evaluate(*expr.children[i + 1], scope));
    }
    meter_.bytes(members.size() * 2 * sizeof(Value));
    return Value::dict(std::move(members));
  }

  void set_entry(Dict& members, const Value& key, Value value) {
    if (key.is(Kind::kList) || key.is(Kind::kDict)) {
      meter_.fail(std::string("a value of type ") + key.type_name() + " cannot be a key");
    }
    for (auto& [old_key, old_value] : members) {
      if (equals(old_key, key, meter_)) {
        old_value = std::move(value);
        return;
      }
    }
    members.emplace_back(key, std::move(value));
  }

  Value evaluate_slice(const Expr& expr, const ScopePtr& scope) {
    const auto part = [&](size_t i) {
      return expr.children[i] == nullptr ? Value() : evaluate(*expr.children[i], scope);
    };
    const Value object = part(0), begin = part(1), end = part(2);
    return get_slice(meter_, object, begin, end, part(3));
  }

  Value evaluate_binary(const Expr& expr, const ScopePtr& scope) {
    const Value left = evaluate(*expr.children[0], scope);
    if (expr.text == "and" && !left.truth()) return left;
    if (expr.text == "or" && left.truth()) return left;
    const Value right = evaluate(*expr.children[1], scope);
    if (expr.text == "and" || expr.text == "or") return right;
    meter_.line = expr.line;
    return apply_operator(meter_, expr.text, left, right);
  }

  Value evaluate_comparison(const Expr& expr, const ScopePtr& scope) {
    Value left = evaluate(*expr.children[0], scope);
    for (size_t i = 0; i < expr.operators.size(); ++i) {
      const Value right = evaluate(*expr.children[i + 1], scope);
      meter_.line = expr.line;
      if (!apply_comparison(meter_, expr.operators[i], left, right)) return Value::boolean(false);
      left = right;
    }
    return Value::boolean(true);
  }

  Value filter_block(const Expr& expr, const ScopePtr& scope, Value text) {
    std::swap(block_text_, text);
    Value result = evaluate(expr, scope);
    std::swap(block_text_, text);
    return result;
  }

  Value evaluate_call(const Expr& expr, const ScopePtr& scope) {
    const Value callee = evaluate(*expr.children[0], scope);
    const Arguments arguments = evaluate_arguments(expr, scope);
    meter_.line = expr.line;
    switch (callee.kind()) {
      case Kind::kMacro:
        return call_macro(callee.as_macro(), arguments, nullptr);
      case Kind::kMethod:
        return call_method(meter_, callee.as_method(), arguments);
      case Kind::kFunction:
        return call_function(callee.as_string(), arguments);
      case Kind::kUndefined:
        meter_.fail("'" + callee.as_string() + "' is undefined");
      default:
        meter_.fail(std::string("a value of type ") + callee.type_name() + " cannot be called");
    }
  }

  // --- functions

  Value call_function(const std::string& name, const Arguments& arguments) {
    if (name == "raise_exception") {
      const Value message = bind_arguments(meter_, name, arguments, {"message"}, 1)[0];
      fail_at(meter_.line, "the chat template refuses these messages: " + to_text(message, meter_),
              "change the roles, their order or the content of the messages");
    }
    if (name == "strftime_now") {
      const Value format = bind_arguments(meter_, name, arguments, {"format"}, 1)[0];
      return make_string(meter_, format_date(string_argument(meter_, name, format, ""), now_));
    }
    if (name == "range") return call_range(arguments);
    return call_dict_or_namespace(name, arguments);
  }

  Value call_range(const Arguments& arguments) {
    const List bound = bind_arguments(meter_, "range", arguments, {"start", "stop", "step"}, 1);
    const bool has_stop = !bound[1].is_undefined();
    const int64_t first = has_stop ? int_argument(meter_, "range", bound[0], 0) : 0;
    const int64_t last = int_argument(meter_, "range", has_stop ? bound[1] : bound[0], 0);
    const int64_t step = int_argument(meter_, "range", bound[2], 1);
    if (step == 0) meter_.fail("range needs a step that is not zero");
    List numbers;
    for (int64_t i = first; step > 0 ? i < last : i > last;) {
      numbers.push_back(Value::integer(i));
      if (static_cast<int64_t>(numbers.size()) > kMaxRange) {
        meter_.fail("range gives more than 100,000 numbers");
      }
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    return make_list(meter_, std::move(numbers));
  }

  Value call_dict_or_namespace(const std::string& name, const Arguments& arguments) {
    Dict members;
    if (arguments.positional.size() > 1) meter_.fail(name + " takes one dict and named values");
    if (!arguments.positional.empty()) {
      if (!arguments.positional[0].is(Kind::kDict)) meter_.fail(name + " needs a dict");
      members = arguments.positional[0].as_dict();
    }
    for (const auto& [key, value] : arguments.named) set_entry(members, Value::string(key), value);
    meter_.bytes(members.size() * 2 * sizeof(Value) + sizeof(Namespace));
    if (name == "dict") return Value::dict(std::move(members));
    auto space = std::make_shared<Namespace>();
    for (const auto& [key, value] : members) {
      set_member(*space, to_text(key, meter_), value);
    }
    namespaces_.push_back(space);
    return Value::of(std::move(space));
  }

  DateTime now_;
  Meter meter_;
  std::string output_;
  int num_captures_ = 0;
  Value block_text_;  // what the filter of a filter block works on
  std::vector<Span> generations_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<const Macro>> macros_;
  std::vector<std::shared_ptr<Loop>> loops_;
};

}  // namespace

Rendering render(const Template& source, std::vector<std::pair<std::string, Value>> globals,
                 const DateTime& now, const Limits& limits) {
  return Interpreter(now, limits).run(source, std::move(globals));
}

}  // namespace dlm::jinja
