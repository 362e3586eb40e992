#include "export/ollama_template.h"

#include "export/gotemplate/evaluate.h"
#include "export/gotemplate/parser.h"

namespace dlm {

std::vector<ChatMessage> collate_messages(const std::vector<ChatMessage>& messages) {
  std::vector<ChatMessage> merged;
  for (const ChatMessage& m : messages) {
    if (!merged.empty() && merged.back().role == m.role && m.role != "tool") {
      merged.back().content += "\n\n" + m.content;
    } else {
      merged.push_back(m);
    }
  }
  return merged;
}

OllamaTemplate::OllamaTemplate(std::string_view source) : nodes_(gotemplate::parse(source)) {}

std::string OllamaTemplate::render(const std::vector<ChatMessage>& messages) const {
  using gotemplate::Value;
  std::string system;
  bool has_system = false;
  for (const ChatMessage& m : messages) {
    if (m.role != "system") continue;
    system += (has_system ? "\n\n" : "") + m.content;
    has_system = true;
  }
  Value::List list;
  for (const ChatMessage& m : collate_messages(messages)) {
    list.push_back(Value::structure({{"Role", m.role}, {"Content", m.content}}));
  }
  return gotemplate::evaluate(nodes_, Value::map({{"System", system},
                                                  {"Messages", Value::list(std::move(list))},
                                                  {"Response", ""}}));
}

}  // namespace dlm
