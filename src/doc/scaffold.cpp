// What `dlm init` writes. Every training setting is left to its default, so that the planner may
// choose.
#include "doc/scaffold.h"

#include <vector>

#include "doc/frontmatter.h"
#include "doc/serialize.h"

namespace dlm {

std::string scaffold_document(std::string_view id, std::string_view base_model) {
  Frontmatter frontmatter;
  frontmatter.dlm_id = std::string(id);
  frontmatter.base_model = std::string(base_model);
  Section prose;
  prose.content =
      "# My document\n\n"
      "Text out here is read as it stands: the model learns its words and its style.\n";
  Section pairs;
  pairs.type = SectionType::kInstruction;
  pairs.content =
      "### Q\nWhat is this document?\n\n"
      "### A\nA small model in the making: train it, then ask it these questions.\n\n"
      "### Q\nHow do I teach you something?\n\n"
      "### A\nWrite a question and its answer below this one, and train again.\n\n"
      "### Q\nWhere is what you learn kept?\n\n"
      "### A\nIn a store beside your other files; this document itself is never changed.";
  return serialize_document(frontmatter, {prose, pairs});
}

}  // namespace dlm
