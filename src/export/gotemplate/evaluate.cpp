#include "export/gotemplate/evaluate.h"

#include <span>
#include <utility>

#include "support/error.h"

namespace dlm::gotemplate {

namespace {

constexpr size_t kMaxText = size_t{64} << 20;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::kFormat, "Go template: " + what);
}

// Less, equal or greater; only values of one basic type can be compared.
int compare(const Value& a, const Value& b, bool ordered) {
  if (a.string() != nullptr && b.string() != nullptr) return a.string()->compare(*b.string());
  if (a.integer() != nullptr && b.integer() != nullptr) {
    return (*a.integer() > *b.integer()) - (*a.integer() < *b.integer());
  }
  if (!ordered && a.boolean() != nullptr && b.boolean() != nullptr) {
    return *a.boolean() == *b.boolean() ? 0 : 1;
  }
  refuse(std::string("a ") + a.type_name() + " cannot be compared with a " + b.type_name());
}

int64_t length(const Value& value) {
  if (value.string() != nullptr) return static_cast<int64_t>(value.string()->size());
  if (value.items() != nullptr) return static_cast<int64_t>(value.items()->size());
  if (value.fields() != nullptr && !value.fields()->is_struct) {
    return static_cast<int64_t>(value.fields()->fields->size());
  }
  refuse(std::string("len of a ") + value.type_name());
}

int64_t whole_number(const Value& value) {
  if (value.integer() == nullptr) refuse("an index is no integer");
  return *value.integer();
}

Value field_of(const Value& value, const std::string& name) {
  const Value::Map* map = value.fields();
  if (map == nullptr) refuse(std::string("a ") + value.type_name() + " has no field " + name);
  const auto found = map->fields->find(name);
  if (found != map->fields->end()) return found->second;
  if (map->is_struct) refuse("there is no field " + name);
  return {};
}

Value index_of(std::span<const Value> arguments) {
  Value value = arguments[0];
  for (const Value& key : arguments.subspan(1)) {
    if (const Value::List* items = value.items()) {
      const int64_t at = whole_number(key);
      if (at < 0 || at >= static_cast<int64_t>(items->size())) refuse("an index is out of range");
      value = Value((*items)[static_cast<size_t>(at)]);
    } else if (value.fields() != nullptr && key.string() != nullptr) {
      value = field_of(value, *key.string());
    } else {
      refuse(std::string("a ") + value.type_name() + " cannot be indexed");
    }
  }
  return value;
}

Value slice_of(std::span<const Value> arguments) {
  if (arguments.size() > 3) refuse("slice takes up to two numbers here");
  const int64_t size = length(arguments[0]);
  const int64_t begin = arguments.size() > 1 ? whole_number(arguments[1]) : 0;
  const int64_t end = arguments.size() > 2 ? whole_number(arguments[2]) : size;
  if (begin < 0 || end > size || begin > end) refuse("a slice is out of range");
  if (const std::string* text = arguments[0].string()) {
    return Value(text->substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  }
  const Value::List* items = arguments[0].items();
  if (items == nullptr) refuse(std::string("slice of a ") + arguments[0].type_name());
  return Value::list(Value::List(items->begin() + begin, items->begin() + end));
}

Value call(const std::string& name, std::span<const Value> args) {
  const auto need = [&](size_t least, size_t most) {
    if (args.size() < least || args.size() > most) refuse(name + " has the wrong arguments");
  };
  if (name == "not") {
    need(1, 1);
    return !args[0].truth();
  }
  if (name == "len") {
    need(1, 1);
    return length(args[0]);
  }
  if (name == "index" || name == "slice") {
    need(1, 16);
    return name == "index" ? index_of(args) : slice_of(args);
  }
  if (name == "eq") {
    need(2, 64);
    for (const Value& other : args.subspan(1)) {
      if (compare(args[0], other, false) == 0) return true;
    }
    return false;
  }
  if (name == "print") {
    // Blanks stand between neighbours of which neither is a string.
    std::string text;
    for (size_t i = 0; i < args.size(); ++i) {
      if (i > 0 && args[i].string() == nullptr && args[i - 1].string() == nullptr) text += ' ';
      text += args[i].text();
    }
    return text;
  }
  const bool is_order = name == "lt" || name == "le" || name == "gt" || name == "ge";
  if (name != "ne" && !is_order) refuse("there is no function \"" + name + "\"");
  need(2, 2);
  const int order = compare(args[0], args[1], is_order);
  if (name == "ne") return order != 0;
  if (name == "lt") return order < 0;
  if (name == "le") return order <= 0;
  return name == "gt" ? order > 0 : order >= 0;
}

class Machine {
 public:
  explicit Machine(const Value& data) : data_(data) { variables_.emplace_back("$", data); }

  std::string run(const std::vector<Node>& nodes) {
    walk(nodes, data_);
    return std::move(out_);
  }

 private:
  enum class Flow { kNext, kBreak, kContinue };

  Flow walk(const std::vector<Node>& nodes, const Value& dot) {
    const size_t scope = variables_.size();
    Flow flow = Flow::kNext;
    for (const Node& node : nodes) {
      flow = step(node, dot);
      if (flow != Flow::kNext) break;
    }
    variables_.resize(scope);
    return flow;
  }

  Flow step(const Node& node, const Value& dot) {
    switch (node.kind) {
      case Node::Kind::kText:
        print(node.text);
        return Flow::kNext;
      case Node::Kind::kAction: {
        const Value value = pipeline(node.pipeline, dot);
        if (node.pipeline.variables.empty()) print(value.text());
        return Flow::kNext;
      }
      case Node::Kind::kIf:
      case Node::Kind::kWith: {
        const size_t scope = variables_.size();
        const Value value = pipeline(node.pipeline, dot);
        const Value& inner = node.kind == Node::Kind::kWith ? value : dot;
        const Flow flow = value.truth() ? walk(node.body, inner) : walk(node.otherwise, dot);
        variables_.resize(scope);
        return flow;
      }
      case Node::Kind::kRange:
        return range(node, dot);
      case Node::Kind::kBreak:
        return Flow::kBreak;
      case Node::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  Flow range(const Node& node, const Value& dot) {
    Pipeline source = node.pipeline;
    source.variables.clear();  // they get the elements, not the list
    const Value value = pipeline(source, dot);
    if (!value.is_nil() && value.items() == nullptr) {
      refuse(std::string("range over a ") + value.type_name());
    }
    if (!value.truth()) return walk(node.otherwise, dot);
    const size_t scope = variables_.size();
    const std::vector<std::string>& names = node.pipeline.variables;
    for (size_t i = 0; i < value.items()->size(); ++i) {
      const Value& item = (*value.items())[i];
      if (names.size() == 1) bind(names[0], item, node.pipeline.declares);
      if (names.size() == 2) {
        bind(names[0], Value(static_cast<int64_t>(i)), node.pipeline.declares);
        bind(names[1], item, node.pipeline.declares);
      }
      const Flow flow = walk(node.body, item);
      variables_.resize(scope);
      if (flow == Flow::kBreak) break;
    }
    return Flow::kNext;
  }

  void bind(const std::string& name, const Value& value, bool declares) {
    if (declares) {
      variables_.emplace_back(name, value);
    } else {
      variable(name) = value;
    }
  }

  Value& variable(const std::string& name) {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) return it->second;
    }
    refuse("there is no variable " + name);
  }

  Value pipeline(const Pipeline& p, const Value& dot) {
    Value value;
    bool has_value = false;
    for (const Command& words : p.commands) {
      value = command(words, dot, has_value ? &value : nullptr);
      has_value = true;
    }
    for (const std::string& name : p.variables) bind(name, value, p.declares);
    return value;
  }

  // `last`: what the command before in the pipeline gave; it becomes the last argument.
  Value command(const Command& words, const Value& dot, const Value* last) {
    const Operand& first = words.front();
    if (first.kind != Operand::Kind::kFunction) {
      if (words.size() > 1 || last != nullptr) refuse("a value is called as a function");
      return operand(first, dot);
    }
    if (!first.fields.empty()) refuse("a field of the function " + first.name);
    if (first.name == "and" || first.name == "or") {
      // Both stop at the first value that decides, and give that value.
      Value value;
      for (size_t i = 1; i < words.size(); ++i) {
        value = operand(words[i], dot);
        if (value.truth() == (first.name == "or")) return value;
      }
      if (last != nullptr) return *last;
      if (words.size() == 1) refuse(first.name + " has no arguments");
      return value;
    }
    std::vector<Value> arguments;
    for (size_t i = 1; i < words.size(); ++i) arguments.push_back(operand(words[i], dot));
    if (last != nullptr) arguments.push_back(*last);
    return call(first.name, arguments);
  }

  Value operand(const Operand& word, const Value& dot) {
    Value value;
    switch (word.kind) {
      case Operand::Kind::kConstant:
        value = word.constant;
        break;
      case Operand::Kind::kDot:
        value = dot;
        break;
      case Operand::Kind::kVariable:
        value = variable(word.name);
        break;
      case Operand::Kind::kFunction:
        value = call(word.name, {});
        break;
      case Operand::Kind::kPipeline:
        value = pipeline(*word.pipeline, dot);
        break;
    }
    for (const std::string& name : word.fields) value = field_of(value, name);
    return value;
  }

  void print(const std::string& text) {
    if (text.size() > kMaxText - out_.size()) refuse("the text grows too large");
    out_ += text;
  }

  const Value& data_;
  std::vector<std::pair<std::string, Value>> variables_;
  std::string out_;
};

}  // namespace

std::string evaluate(const std::vector<Node>& nodes, const Value& data) {
  return Machine(data).run(nodes);
}

}  // namespace dlm::gotemplate
