// Calls: macros, methods, and the five functions that templates have.
#include <algorithm>

#include "text/jinja/machine.h"

namespace dlm::jinja {

using Kind = Value::Kind;

namespace {

constexpr int64_t kMaxRange = 100'000;

}  // namespace

Value Machine::evaluate_call(const Expr& expr, const ScopePtr& scope) {
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

std::shared_ptr<const Macro> Machine::make_macro(const Node& node, std::string name,
                                                 const ScopePtr& scope) {
  auto macro = std::make_shared<Macro>();
  macro->definition = &node;
  macro->scope = scope;
  macro->name = std::move(name);
  meter_.bytes(sizeof(Macro));
  macros_.push_back(macro);
  return macro;
}

Value Machine::call_macro(const Macro& macro, const Arguments& arguments, const Value* caller) {
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

Value Machine::call_function(const std::string& name, const Arguments& arguments) {
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

Value Machine::call_range(const Arguments& arguments) {
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

Value Machine::call_dict_or_namespace(const std::string& name, const Arguments& arguments) {
  Dict members;
  if (arguments.positional.size() > 1) meter_.fail(name + " takes one dict and named values");
  if (!arguments.positional.empty()) {
    if (!arguments.positional[0].is(Kind::kDict)) meter_.fail(name + " needs a dict");
    members = arguments.positional[0].as_dict();
  }
  for (const auto& [key, value] : arguments.named) set_entry(members, Value::string(key), value);
  if (name == "dict") return make_dict(meter_, std::move(members));
  meter_.bytes(members.size() * 2 * sizeof(Value) + sizeof(Namespace));
  auto space = std::make_shared<Namespace>();
  for (const auto& [key, value] : members) {
    set_member(*space, to_text(key, meter_), value);
  }
  namespaces_.push_back(space);
  return Value::of(std::move(space));
}

void Machine::set_member(Namespace& space, const std::string& name, const Value& value) {
  for (auto& [key, member] : space.members) {
    if (key == name) {
      member = value;
      return;
    }
  }
  space.members.emplace_back(name, value);
}

}  // namespace dlm::jinja
