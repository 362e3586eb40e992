// Edits the lines of a frontmatter. What an edit makes of unusual YAML (flow mappings, anchors,
// values over several lines) is not foreseen but tested: the edited text is read back, and where it
// does not mean the same the frontmatter is written anew.
#include "doc/migrate_text.h"

#include <algorithm>
#include <optional>

#include "doc/document.h"
#include "doc/migrate.h"
#include "doc/serialize.h"
#include "support/text.h"

namespace dlm {
namespace {

// A line without its end, and the end as it was written: LF, CRLF, CR or none.
struct Line {
  std::string text;
  std::string end;
};

// The line at `start`, which moves behind its end.
Line take_line(std::string_view bytes, size_t& start) {
  const size_t stop = std::min(bytes.find_first_of("\r\n", start), bytes.size());
  const size_t next = bytes.substr(stop, 2) == "\r\n" ? stop + 2 : std::min(stop + 1, bytes.size());
  Line line{std::string(bytes.substr(start, stop - start)),
            std::string(bytes.substr(stop, next - stop))};
  start = next;
  return line;
}

std::string joined(const std::vector<Line>& lines) {
  std::string bytes;
  for (const Line& line : lines) bytes += line.text + line.end;
  return bytes;
}

size_t indent_of(const std::string& text) {
  return std::min(text.find_first_not_of(' '), text.size());
}

bool is_blank(const std::string& text) {
  return indent_of(text) == text.size();
}

// Blank, or nothing but a comment.
bool is_silent(const std::string& text) {
  return is_blank(text) || text[indent_of(text)] == '#';
}

// The frontmatter between its two delimiters, as lines. Lines and columns of nodes are those of the
// file, from 1; columns count characters.
class FrontmatterEditor {
 public:
  FrontmatterEditor(std::vector<Line> lines, const YamlNode& root)
      : lines_(std::move(lines)), root_(root) {}

  // False where it does not know how.
  bool migrate(int from);
  std::vector<Line> take() { return std::move(lines_); }

 private:
  std::string& text_at(int file_line) { return lines_[static_cast<size_t>(file_line - 2)].text; }
  bool has_line(int file_line) const {
    return file_line >= 2 && static_cast<size_t>(file_line - 2) < lines_.size();
  }
  // Whether `word` stands at the node's place, which then is a plain or quoted value of one line.
  // Returns its byte offset in the line.
  std::optional<size_t> find_at(const YamlNode& node, std::string_view word);
  const YamlNode::Entry* entry(const YamlNode& mapping, std::string_view key) const;
  bool stamp_version();
  bool move_dpo();

  std::vector<Line> lines_;
  const YamlNode& root_;
};

const YamlNode::Entry* FrontmatterEditor::entry(const YamlNode& mapping,
                                                std::string_view key) const {
  for (const YamlNode::Entry& one : mapping.entries) {
    if (one.key->is_string() && one.key->text == key) return &one;
  }
  return nullptr;
}

std::optional<size_t> FrontmatterEditor::find_at(const YamlNode& node, std::string_view word) {
  if (!has_line(node.line)) return std::nullopt;
  const std::string& text = text_at(node.line);
  // The place is that of an opening quote where there is one.
  size_t at = 0;
  for (int column = 1; column < node.column && at < text.size(); ++column) {
    at += static_cast<size_t>(utf8_length(static_cast<unsigned char>(text[at])));
  }
  if (at < text.size() && (text[at] == '"' || text[at] == '\'')) ++at;
  if (std::string_view(text).substr(std::min(at, text.size())).starts_with(word)) return at;
  return std::nullopt;
}

// From the bottom up, because an edit moves what stands below it.
bool FrontmatterEditor::migrate(int from) {
  if (from > 1) return stamp_version();
  const YamlNode::Entry* training = entry(root_, "training");
  const YamlNode::Entry* version = entry(root_, "dlm_version");
  if (!version) version = entry(root_, "dlm_id");
  if (training && version && version->key->line > training->key->line) {
    return stamp_version() && move_dpo();
  }
  return move_dpo() && stamp_version();
}

bool FrontmatterEditor::stamp_version() {
  const std::string current = std::to_string(kCurrentSchemaVersion);
  if (const YamlNode::Entry* version = entry(root_, "dlm_version")) {
    const auto at = find_at(*version->value, version->value->text);
    if (!at) return false;
    text_at(version->value->line).replace(*at, version->value->text.size(), current);
    return true;
  }
  const YamlNode::Entry* id = entry(root_, "dlm_id");
  if (!id || !has_line(id->key->line)) return false;
  const Line added{"dlm_version: " + current, lines_[static_cast<size_t>(id->key->line - 2)].end};
  lines_.insert(lines_.begin() + id->key->line - 1, added);
  return true;
}

// training.dpo becomes training.preference: three keys move below `hyperparams`, a method is added.
// A key's lines are the comments right above it, its own, and all up to the next key.
bool FrontmatterEditor::move_dpo() {
  const YamlNode* training = root_.find("training");
  const YamlNode::Entry* dpo =
      training && training->is_mapping() ? entry(*training, "dpo") : nullptr;
  if (!dpo) return true;
  const int key_line = dpo->key->line;
  const auto key_at = find_at(*dpo->key, "dpo");
  if (!key_at || training->find("preference") || indent_of(text_at(key_line)) != *key_at)
    return false;
  const size_t first = static_cast<size_t>(key_line - 2);
  if (dpo->value->kind() == YamlKind::kNull) {
    if (dpo->value->line != key_line) return false;
    lines_.erase(lines_.begin() + key_line - 2);
    return true;
  }
  if (!dpo->value->is_mapping() || dpo->value->entries.empty()) return false;

  const size_t indent = static_cast<size_t>(dpo->value->entries.front().key->column - 1);
  std::vector<size_t> starts;  // of each key's lines, in file order
  std::vector<const YamlNode::Entry*> keys;
  for (const YamlNode::Entry& one : dpo->value->entries) {
    const int line = one.key->line;
    if (line <= key_line || !has_line(line) || indent_of(text_at(line)) != indent) return false;
    keys.push_back(&one);
  }
  std::sort(keys.begin(), keys.end(),
            [](const auto* a, const auto* b) { return a->key->line < b->key->line; });
  size_t end = first + 1;  // behind the block's last line
  for (size_t i = end; i < lines_.size(); ++i) {
    if (is_blank(lines_[i].text)) continue;
    if (indent_of(lines_[i].text) < indent) break;
    end = i + 1;
  }
  for (const YamlNode::Entry* one : keys) {
    size_t start = static_cast<size_t>(one->key->line - 2);
    const size_t floor = starts.empty() ? first + 1 : starts.back() + 1;
    while (start > floor && is_silent(lines_[start - 1].text)) --start;
    starts.push_back(start);
    if (const YamlNode* reference = one->key->text == "reference" ? one->value : nullptr;
        reference && reference->text == "pre_dpo_adapter") {
      const auto at = find_at(*reference, reference->text);
      if (!at) return false;
      text_at(reference->line).replace(*at, reference->text.size(), "pre_adapter");
    }
  }
  starts.push_back(end);

  std::vector<Line> kept(lines_.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                         lines_.begin() + static_cast<std::ptrdiff_t>(starts.front()));
  std::vector<Line> moved;
  const std::string& line_end = lines_[first].end;
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string& key = keys[i]->key->text;
    for (size_t l = starts[i]; l < starts[i + 1]; ++l) {
      Line line = lines_[l];
      if (is_dpo_hyperparameter(key)) {
        if (!is_blank(line.text)) line.text.insert(0, "  ");
        moved.push_back(std::move(line));
      } else if (is_dpo_key(key) || is_silent(line.text)) {
        kept.push_back(std::move(line));
      }
    }
  }
  if (!moved.empty())
    moved.insert(moved.begin(), {std::string(indent, ' ') + "hyperparams:", line_end});
  kept.insert(kept.begin(), {std::string(indent, ' ') + "method: dpo", line_end});
  kept.insert(kept.end(), moved.begin(), moved.end());
  lines_[first].text.replace(*key_at, 3, "preference");
  lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(first) + 1,
               lines_.begin() + static_cast<std::ptrdiff_t>(end));
  lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(first) + 1, kept.begin(), kept.end());
  return true;
}

bool same_sections(const Document& a, const Document& b) {
  return std::equal(a.sections.begin(), a.sections.end(), b.sections.begin(), b.sections.end(),
                    [](Section x, Section y) {
                      x.start_line = y.start_line = x.content_line = y.content_line = 0;
                      return x == y;
                    });
}

// Whether `bytes` are a document of the current version that says what `wanted` says. Keys that are
// written as null may be left out by the canonical form: they are compared only where `all_keys`.
bool says(const std::string& bytes, const Document& wanted, bool all_keys) {
  Document read;
  try {
    read = parse_document(bytes, wanted.path.string());
  } catch (const Error&) {
    return false;  // an edit that cannot be read says nothing
  }
  const Frontmatter& a = read.frontmatter;
  Frontmatter b = wanted.frontmatter;
  b.written.insert("dlm_version");
  if (a.written_version != kCurrentSchemaVersion || (all_keys && a.written != b.written)) {
    return false;
  }
  return a.dlm_id == b.dlm_id && a.base_model == b.base_model && a.training == b.training &&
         a.export_config == b.export_config && a.system_prompt == b.system_prompt &&
         same_sections(read, wanted);
}

}  // namespace

MigratedText migrate_text(std::string_view bytes, const std::string& path) {
  Document document = parse_document(bytes, path);
  MigratedText out;
  out.from = static_cast<int>(document.frontmatter.written_version);
  out.warnings = std::move(document.warnings);
  out.bytes = std::string(bytes);
  if (out.from == kCurrentSchemaVersion) return out;
  out.is_applied = true;

  size_t at = 0;
  const Line opening = take_line(bytes, at);
  std::vector<Line> inner;
  size_t closer = at;  // there is one: parse_document has found it
  for (Line line = take_line(bytes, at); line.text != "---"; line = take_line(bytes, at)) {
    inner.push_back(std::move(line));
    closer = at;
  }
  const std::string rest(bytes.substr(closer));

  WarningSink ignored(path);
  const std::string text = decode_document(bytes, ignored);
  const YamlTree tree = parse_yaml(split_document(text, path).yaml, 2, ignored);
  FrontmatterEditor editor(std::move(inner), tree.root());
  if (editor.migrate(out.from)) {
    out.bytes = opening.text + opening.end + joined(editor.take()) + rest;
    if (says(out.bytes, document, true)) return out;
  }
  out.kept_comments = false;
  std::string anew = serialize_frontmatter(document.frontmatter);
  anew.resize(anew.size() - 4);  // the closing line stands in `rest`
  out.bytes = anew + rest;
  if (says(out.bytes, document, false)) return out;
  throw Error(ErrorKind::kInternal, "the migrated text does not read back as the document",
              "this is a defect in dlm; the file was left as it is", Place{path, 0, 0});
}

}  // namespace dlm
