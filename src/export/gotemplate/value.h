// The values that a Go template of a chat computes with: what Ollama hands to it, and what its
// constants and functions give.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace dlm::gotemplate {

class Value {
 public:
  using List = std::vector<Value>;
  using Fields = std::map<std::string, Value>;
  // A map has any key (absent ones are nil); a struct has its fields and no others.
  struct Map {
    std::shared_ptr<const Fields> fields;
    bool is_struct = false;
  };

  Value() = default;  // nil
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(std::string value) : data_(std::move(value)) {}
  static Value list(List items);
  static Value map(Fields fields);
  static Value structure(Fields fields);

  bool is_nil() const { return std::holds_alternative<std::monostate>(data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const int64_t* integer() const { return std::get_if<int64_t>(&data_); }
  const std::string* string() const { return std::get_if<std::string>(&data_); }
  const List* items() const;
  const Map* fields() const { return std::get_if<Map>(&data_); }

  // false, 0, nil and what is empty are false.
  bool truth() const;
  // As an action prints it. Throws Error(kFormat) for lists and maps, which no chat prints.
  std::string text() const;
  const char* type_name() const;

 private:
  std::variant<std::monostate, bool, int64_t, std::string, std::shared_ptr<const List>, Map> data_;
};

}  // namespace dlm::gotemplate
