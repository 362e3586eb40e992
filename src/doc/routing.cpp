// Routing by the '#name' of fences. See the header.
#include "doc/routing.h"

#include <algorithm>

#include "doc/python_text.h"
#include "support/text.h"

namespace dlm {

void check_routing(const Document& document) {
  std::vector<std::string> names;
  for (const NamedAdapter& adapter : declared_adapters(document.frontmatter)) {
    names.push_back(adapter.name);
  }
  std::sort(names.begin(), names.end());
  for (const Section& section : document.sections) {
    if (!section.adapter || std::binary_search(names.begin(), names.end(), *section.adapter))
      continue;
    const auto nearest = nearest_word(*section.adapter, names);
    throw Error(
        ErrorKind::kParse,
        "no adapter is named " + in_quotes(*section.adapter) +
            "; the document declares: " + join(names, ", "),
        nearest ? "did you mean '" + *nearest + "'?"
                : "declare it below training.adapters, or remove the name from the fence",
        Place{document.path.empty() ? "<text>" : document.path.string(), section.start_line, 1});
  }
}

std::vector<size_t> sections_of_adapter(const Document& document, std::string_view adapter) {
  const bool is_first = declared_adapters(document.frontmatter).front().name == adapter;
  std::vector<size_t> indices;
  for (size_t i = 0; i < document.sections.size(); ++i) {
    const Section& section = document.sections[i];
    const bool goes = section.adapter ? *section.adapter == adapter
                                      : is_first || section.type == SectionType::kProse;
    if (goes) indices.push_back(i);
  }
  return indices;
}

}  // namespace dlm
