#include "export/gotemplate/value.h"

#include "support/error.h"

namespace dlm::gotemplate {

Value Value::list(List items) {
  Value value;
  value.data_ = std::make_shared<const List>(std::move(items));
  return value;
}

Value Value::map(Fields fields) {
  Value value;
  value.data_ = Map{std::make_shared<const Fields>(std::move(fields)), false};
  return value;
}

Value Value::structure(Fields fields) {
  Value value;
  value.data_ = Map{std::make_shared<const Fields>(std::move(fields)), true};
  return value;
}

const Value::List* Value::items() const {
  const auto* list = std::get_if<std::shared_ptr<const List>>(&data_);
  return list == nullptr ? nullptr : list->get();
}

bool Value::truth() const {
  if (const bool* b = boolean()) return *b;
  if (const int64_t* i = integer()) return *i != 0;
  if (const std::string* s = string()) return !s->empty();
  if (const List* l = items()) return !l->empty();
  if (const Map* m = fields()) return m->is_struct || !m->fields->empty();
  return false;
}

std::string Value::text() const {
  if (const bool* b = boolean()) return *b ? "true" : "false";
  if (const int64_t* i = integer()) return std::to_string(*i);
  if (const std::string* s = string()) return *s;
  if (is_nil()) return "<no value>";
  throw Error(ErrorKind::kFormat, std::string("the template prints a ") + type_name());
}

const char* Value::type_name() const {
  if (boolean() != nullptr) return "bool";
  if (integer() != nullptr) return "int";
  if (string() != nullptr) return "string";
  if (items() != nullptr) return "list";
  if (fields() != nullptr) return "map";
  return "nil";
}

}  // namespace dlm::gotemplate
