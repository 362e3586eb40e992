// Expressions. Each evaluation is a step and a level of depth, and moves the line that errors name.
#include "text/jinja/machine.h"

namespace dlm::jinja {

using Kind = Value::Kind;

Value Machine::evaluate(const Expr& expr, const ScopePtr& scope) {
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
      return Value::boolean(apply_test(meter_, expr.text, input, evaluate_arguments(expr, scope)));
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

List Machine::evaluate_all(const Expr& expr, size_t first, const ScopePtr& scope) {
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

Arguments Machine::evaluate_arguments(const Expr& expr, const ScopePtr& scope) {
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

Value Machine::evaluate_dict(const Expr& expr, const ScopePtr& scope) {
  Dict members;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    const Value key = evaluate(*expr.children[i], scope);
    set_entry(members, key, evaluate(*expr.children[i + 1], scope));
  }
  return make_dict(meter_, std::move(members));
}

void Machine::set_entry(Dict& members, const Value& key, Value value) {
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

Value Machine::evaluate_slice(const Expr& expr, const ScopePtr& scope) {
  const auto part = [&](size_t i) {
    return expr.children[i] == nullptr ? Value() : evaluate(*expr.children[i], scope);
  };
  const Value object = part(0), begin = part(1), end = part(2);
  return get_slice(meter_, object, begin, end, part(3));
}

Value Machine::evaluate_binary(const Expr& expr, const ScopePtr& scope) {
  const Value left = evaluate(*expr.children[0], scope);
  if (expr.text == "and" && !left.truth()) return left;
  if (expr.text == "or" && left.truth()) return left;
  const Value right = evaluate(*expr.children[1], scope);
  if (expr.text == "and" || expr.text == "or") return right;
  meter_.line = expr.line;
  return apply_operator(meter_, expr.text, left, right);
}

Value Machine::evaluate_comparison(const Expr& expr, const ScopePtr& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    const Value right = evaluate(*expr.children[i + 1], scope);
    meter_.line = expr.line;
    if (!apply_comparison(meter_, expr.operators[i], left, right)) return Value::boolean(false);
    left = right;
  }
  return Value::boolean(true);
}

Value Machine::filter_block(const Expr& expr, const ScopePtr& scope, Value text) {
  std::swap(block_text_, text);
  Value result = evaluate(expr, scope);
  std::swap(block_text_, text);
  return result;
}

}  // namespace dlm::jinja
