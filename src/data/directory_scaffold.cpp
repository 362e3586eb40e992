#include "data/directory_scaffold.h"

#include <algorithm>

#include "doc/document.h"
#include "doc/serialize.h"
#include "support/error.h"
#include "support/text.h"
#include "support/ulid.h"

namespace dlm {

namespace {

constexpr const char* kDefaultName = "corpus";
constexpr const char* kSuffix = ".dlm";

[[noreturn]] void refuse(const std::string& message, const std::string& hint,
                         const fs::path& place) {
  throw Error(ErrorKind::kIo, message, hint, {place.string()});
}

std::vector<fs::path> documents_in(const fs::path& folder) {
  std::vector<fs::path> documents;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == kSuffix && entry.is_regular_file(error)) {
      documents.push_back(entry.path());
    }
  }
  std::sort(documents.begin(), documents.end());
  return documents;
}

void check_name(const std::string& name) {
  const bool is_plain = !name.empty() && name != "." && name != ".." && name.size() <= 200 &&
                        std::all_of(name.begin(), name.end(), [](char c) {
                          return c != '/' && static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
                        });
  if (is_plain) return;
  throw Error(ErrorKind::kUsage, "--name must be a plain file name without a folder");
}

// The document to go on with; none when one has to be written.
std::optional<fs::path> existing_document(const ScaffoldRequest& request, const fs::path& wanted) {
  const std::vector<fs::path> documents = documents_in(wanted.parent_path());
  if (std::find(documents.begin(), documents.end(), wanted) != documents.end()) return wanted;
  if (request.name || documents.empty()) return std::nullopt;
  if (documents.size() == 1) return documents.front();
  std::vector<std::string> commands;
  for (const fs::path& document : documents) {
    commands.push_back("dlm train " + request.folder.string() + " --name " +
                       document.stem().string());
  }
  refuse("multiple .dlm files found", "say which: " + join(commands, "; or "),
         wanted.parent_path());
}

std::string id_of(const fs::path& document) {
  return load_document(document).frontmatter.dlm_id;
}

// What the request asks for and the document says otherwise, as flags.
std::vector<std::string> contradictions(const ScaffoldRequest& request, const Frontmatter& f) {
  const auto& sources = f.training.sources;
  const SourceDirective source =
      sources && !sources->empty() ? sources->front() : SourceDirective{};
  std::vector<std::string> flags;
  if (request.base_model && *request.base_model != f.base_model) flags.push_back("--base");
  if (!request.include.empty() && request.include != source.include) flags.push_back("--include");
  if (!request.exclude.empty() && request.exclude != source.exclude) flags.push_back("--exclude");
  if (!request.is_recursive && request.include.empty() &&
      source.include != std::vector<std::string>{"*"}) {
    flags.push_back("--no-recursive");
  }
  if (request.policy && *request.policy != f.training.sources_policy) flags.push_back("--policy");
  return flags;
}

std::string text_of(const ScaffoldRequest& request, const std::string& id) {
  Frontmatter frontmatter;
  frontmatter.dlm_id = id;
  frontmatter.base_model = *request.base_model;
  SourceDirective source;
  // Relative, so that the folder may move: documents in `.dlm` count from the folder above it.
  source.path = ".";
  source.include = request.include;
  if (source.include.empty()) source.include = {request.is_recursive ? "**/*" : "*"};
  source.exclude = request.exclude;
  frontmatter.training.sources = {source};
  frontmatter.training.sources_policy = request.policy.value_or(SourcesPolicy::kStrict);
  frontmatter.written = {"training.sources", "training.sources.0.path",
                         "training.sources.0.include", "training.sources_policy"};
  std::string text = serialize_frontmatter(frontmatter);
  // Not in the body, which would be trained.
  text.insert(text.size() - std::string_view("---\n").size(),
              "# Written by 'dlm train' for the folder above. Edit it, and add sections below.\n");
  return text;
}

}  // namespace

Scaffold scaffold_directory(const ScaffoldRequest& request, const Clock& clock,
                            const RandomSource& random) {
  if (request.name) check_name(*request.name);
  if (!is_folder(request.folder)) {
    refuse("this is not a folder", "name a folder, or a .dlm document", request.folder);
  }
  const fs::path document =
      request.folder / ".dlm" / (request.name.value_or(kDefaultName) + kSuffix);
  const auto existing = existing_document(request, document);
  if (existing && !request.rescaffold) {
    const Frontmatter frontmatter = load_document(*existing).frontmatter;
    const auto flags = contradictions(request, frontmatter);
    if (!flags.empty()) {
      refuse("the folder's document says otherwise than " + join(flags, ", "),
             "edit the document, or write it anew with --rescaffold", *existing);
    }
    return {*existing, frontmatter.dlm_id, false};
  }
  if (!request.base_model) {
    refuse("this is the first run on the folder, which needs a base model",
           "name one: dlm train " + request.folder.string() + " --base dlm-nano", request.folder);
  }
  // The only document is the one meant, whatever its name.
  const fs::path target = existing.value_or(document);
  Scaffold scaffold{target, existing ? id_of(*existing) : new_ulid(clock, random), true};
  const std::string text = text_of(request, scaffold.dlm_id);
  parse_document(text, target.string());  // every flag must read back; throws what is wrong
  make_folders(target.parent_path());
  if (existing) write_file_atomic(target.string() + ".bak", read_file(target));
  write_file_atomic(target, text);
  return scaffold;
}

}  // namespace dlm
