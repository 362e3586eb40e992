// What `dlm init` writes. Every training setting is left to its default, so that the planner may
// choose.
#include "doc/scaffold.h"

#include <vector>

#include "doc/frontmatter.h"
#include "doc/serialize.h"

namespace dlm {
namespace {

Section prose() {
  Section section;
  section.content =
      "# My document\n\n"
      "Text out here is read as it stands: the model learns its words and its style.\n";
  return section;
}

Section pairs(std::string content) {
  Section section;
  section.type = SectionType::kInstruction;
  section.content = std::move(content);
  return section;
}

Section image() {
  Section section;
  section.type = SectionType::kImage;
  section.media_path = "figures/your-image.png";
  section.media_alt = "short description";
  section.content = "A line or two about what the picture shows.\n";
  return section;
}

Section audio() {
  Section section;
  section.type = SectionType::kAudio;
  section.media_path = "clips/your-clip.wav";
  section.media_transcript = "The words that are spoken.";
  section.content = "A line or two about who speaks, and where.\n";
  return section;
}

}  // namespace

std::string scaffold_document(std::string_view id, std::string_view base_model, ScaffoldKind kind) {
  Frontmatter frontmatter;
  frontmatter.dlm_id = std::string(id);
  frontmatter.base_model = std::string(base_model);
  std::vector<Section> sections{prose()};
  switch (kind) {
    case ScaffoldKind::kText:
      sections.push_back(pairs(
          "### Q\nWhat is this document?\n\n"
          "### A\nA small model in the making: train it, then ask it these questions.\n\n"
          "### Q\nHow do I teach you something?\n\n"
          "### A\nWrite a question and its answer below this one, and train again.\n\n"
          "### Q\nWhere is what you learn kept?\n\n"
          "### A\nIn a store beside your other files; this document itself is never changed."));
      break;
    case ScaffoldKind::kImage:
      sections.push_back(image());
      sections.push_back(
          pairs("### Q\nWhat does the picture show?\n\n"
                "### A\nWrite here what one should see in it."));
      break;
    case ScaffoldKind::kAudio:
      sections.push_back(audio());
      sections.push_back(
          pairs("### Q\nWhat is said in the recording?\n\n"
                "### A\nWrite here what one should hear in it."));
      break;
  }
  return serialize_document(frontmatter, sections);
}

}  // namespace dlm
