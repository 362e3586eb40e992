// The entry to the interpreter, scopes, and the end of a machine's life.
#include "text/jinja/interpreter.h"

#include "text/jinja/machine.h"

namespace dlm::jinja {

const Value* Scope::find(const std::string& name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [key, value] : scope->names) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(const std::string& name, Value value) {
  for (auto& [key, old] : names) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  names.emplace_back(name, std::move(value));
}

Machine::~Machine() {
  for (const auto& space : namespaces_) space->members.clear();
  for (const auto& macro : macros_) macro->scope.reset();
  for (const auto& loop : loops_) loop->last_seen.clear();
}

ScopePtr Machine::new_scope(ScopePtr parent) {
  meter_.bytes(sizeof(Scope));
  auto scope = std::make_shared<Scope>();
  scope->parent = std::move(parent);
  return scope;
}

Rendering render(const Template& source, std::vector<std::pair<std::string, Value>> globals,
                 const DateTime& now, const Limits& limits) {
  return Machine(now, limits).run(source, std::move(globals));
}

}  // namespace dlm::jinja
