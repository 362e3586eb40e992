// Statements.
#include "text/jinja/machine.h"

namespace dlm::jinja {

using Kind = Value::Kind;

Rendering Machine::run(const Template& source, std::vector<std::pair<std::string, Value>> globals) {
  const ScopePtr functions = new_scope(nullptr);
  for (const char* name : {"raise_exception", "strftime_now", "namespace", "range", "dict"}) {
    functions->set(name, Value::function(name));
  }
  const ScopePtr given = new_scope(functions);
  for (auto& [name, value] : globals) given->set(name, std::move(value));
  run_block(source.body, new_scope(given));
  return {std::move(output_), std::move(generations_)};
}

Machine::Flow Machine::run_block(const Block& block, const ScopePtr& scope) {
  const Meter::Level level(meter_);
  for (const Node& node : block) {
    meter_.line = node.line;
    meter_.step();
    const Flow flow = run_node(node, scope);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Machine::Flow Machine::run_node(const Node& node, const ScopePtr& scope) {
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

void Machine::write(const std::string& text) {
  output_ += text;
  meter_.bytes(text.size());
  meter_.output(output_.size());
}

Machine::Flow Machine::run_if(const Node& node, const ScopePtr& scope) {
  for (const Node::Branch& branch : node.branches) {
    if (branch.test == nullptr || evaluate(*branch.test, scope).truth()) {
      return run_block(branch.body, scope);
    }
  }
  return Flow::kNormal;
}

Machine::Flow Machine::run_for(const Node& node, const ScopePtr& scope) {
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

void Machine::assign(const Target& target, const Value& value, const ScopePtr& scope) {
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

std::string Machine::capture(const Block& body, const ScopePtr& scope) {
  std::string outer;
  outer.swap(output_);
  ++num_captures_;
  run_block(body, scope);
  --num_captures_;
  outer.swap(output_);
  return outer;
}

void Machine::run_call_block(const Node& node, const ScopePtr& scope) {
  const Value callee = evaluate(*node.expr->children[0], scope);
  if (!callee.is(Kind::kMacro)) meter_.fail("a call block needs a macro");
  const Value caller = Value::of(make_macro(node, "caller", scope));
  const Arguments arguments = evaluate_arguments(*node.expr, scope);
  write(to_text(call_macro(callee.as_macro(), arguments, &caller), meter_));
}

}  // namespace dlm::jinja
