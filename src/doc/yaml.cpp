// Composes a YAML tree from libyaml's events: anchors, merge keys, duplicate keys, tags, limits.
// The only file that includes yaml.h of libyaml.
#include "doc/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "doc/python_text.h"
#include "support/text.h"

namespace dlm {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxDepth = 64;
constexpr int kMaxAliases = 1000;
constexpr uint64_t kMaxWeight = uint64_t{16} << 20;

struct EventDeleter {
  void operator()(yaml_event_t* event) const {
    yaml_event_delete(event);
    delete event;
  }
};
using Event = std::unique_ptr<yaml_event_t, EventDeleter>;

std::string_view chars(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

// Strings and other scalars of the same text are different keys.
std::string key_id(const YamlNode& key) {
  return (key.is_string() ? "s" : "o") + key.text;
}

// What to do about a problem that libyaml names: its words are exact and say little to people who
// write documents.
std::string hint_for(std::string_view context, std::string_view problem, bool is_tab) {
  const auto says = [&](std::string_view words) { return problem.find(words) != problem.npos; };
  const bool is_quoted = context.find("quoted scalar") != context.npos;
  if (says("mapping values are not allowed")) {
    return "put a value that holds ': ' in quotes, and indent the keys of one mapping alike";
  }
  if (says("cannot start any token")) {
    return is_tab ? "indent with blanks, not tabs"
                  : "put a value that begins with this sign in quotes";
  }
  if (says("<document start>")) {
    return "frontmatter is closed by a line of exactly three hyphens";
  }
  if (says("unknown escape character")) {
    return "a backslash begins an escape in double quotes; use single quotes";
  }
  if (is_quoted) return "close the quotes that open here";
  if (says("',' or ']'")) return "close the list with ] or put a comma between its items";
  if (says("',' or '}'")) return "close the mapping with } or put a comma between its entries";
  return "write 'key: value' lines, and indent the keys of one mapping alike";
}

class Composer {
 public:
  Composer(std::string_view text, int first_line, WarningSink& warnings)
      : text_(text), first_line_(first_line), warnings_(warnings) {
    if (!yaml_parser_initialize(&parser_)) {
      throw Error(ErrorKind::kInternal, "the YAML parser cannot start (out of memory)");
    }
    end_ = mark_at(text.size());
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Composer() { yaml_parser_delete(&parser_); }
  Composer(const Composer&) = delete;
  Composer& operator=(const Composer&) = delete;

  YamlTree compose();

 private:
  // A collection whose end has not been seen.
  struct Open {
    YamlNode* node;
    std::string anchor;
    const YamlNode* key = nullptr;                    // of a mapping: waits for its value
    std::unordered_map<std::string, size_t> index{};  // key text → position in entries
    std::vector<const YamlNode*> merges{};            // values of << in order
  };

  Event next();
  void handle(const yaml_event_t& event);
  void open_collection(const yaml_event_t& event, YamlKind kind);
  void close_collection();
  void attach(const YamlNode& node);
  void add_entry(Open& open, const YamlNode& key, const YamlNode& value);
  void apply_merges(Open& open);
  YamlNode& new_node(const yaml_mark_t& mark);
  YamlNode& scalar_node(const yaml_event_t& event);
  const YamlNode& alias_node(const yaml_event_t& event);
  void check_tag(const yaml_event_t& event, std::string_view tag, std::string_view wanted) const;

  [[noreturn]] void fail(const std::string& what, int line, int column,
                         std::string hint = {}) const {
    throw Error(ErrorKind::kParse, "invalid YAML: " + what, std::move(hint),
                Place{warnings_.path(), line, column});
  }
  [[noreturn]] void fail(const std::string& what, const yaml_mark_t& mark,
                         std::string hint = {}) const {
    fail(what, file_line(mark), file_column(mark), std::move(hint));
  }
  // The mark of a byte of the text, as libyaml counts: lines and characters from 0.
  yaml_mark_t mark_at(size_t byte) const {
    yaml_mark_t mark{};
    for (size_t i = 0; i < std::min(byte, text_.size());
         i += static_cast<size_t>(utf8_length(static_cast<unsigned char>(text_[i])))) {
      mark.column = text_[i] == '\n' ? 0 : mark.column + 1;
      mark.line += text_[i] == '\n' ? 1 : 0;
    }
    return mark;
  }
  size_t byte_at(const yaml_mark_t& mark) const {
    size_t byte = 0;
    for (size_t n = 0; n < mark.index && byte < text_.size(); ++n) {
      byte += static_cast<size_t>(utf8_length(static_cast<unsigned char>(text_[byte])));
    }
    return std::min(byte, text_.size());
  }
  int file_line(const yaml_mark_t& mark) const { return static_cast<int>(mark.line) + first_line_; }
  static int file_column(const yaml_mark_t& mark) { return static_cast<int>(mark.column) + 1; }

  yaml_parser_t parser_;
  std::string_view text_;
  int first_line_;
  yaml_mark_t end_{};  // behind the last character
  WarningSink& warnings_;
  YamlTree tree_;
  std::vector<Open> stack_;
  std::unordered_map<std::string, const YamlNode*> anchors_;  // null while its node is open
  const YamlNode* root_ = nullptr;
  int num_aliases_ = 0;
};

Event Composer::next() {
  // Not yet a unique_ptr's business: libyaml leaves the event untouched when it fails.
  auto raw = std::make_unique<yaml_event_t>();
  if (!yaml_parser_parse(&parser_, raw.get())) {
    std::string what = parser_.context ? std::string(parser_.context) + ": " : std::string();
    what += parser_.problem ? parser_.problem : "it cannot be read";
    if (parser_.error == YAML_READER_ERROR) {
      fail(what, mark_at(parser_.problem_offset), "remove the control character");
    }
    // At its end libyaml counts a line that is not there.
    const yaml_mark_t& mark = parser_.problem_mark;
    const bool is_tab = text_.substr(byte_at(mark), 1) == "\t";
    const std::string hint = hint_for(parser_.context ? parser_.context : "",
                                      parser_.problem ? parser_.problem : "", is_tab);
    fail(what, mark.column == 0 && mark.line > end_.line ? end_ : mark, hint);
  }
  return Event(raw.release());
}

YamlTree Composer::compose() {
  bool seen_document = false;
  for (;;) {
    const Event event = next();
    switch (event->type) {
      case YAML_STREAM_END_EVENT:
        if (!root_) {
          YamlNode& null = new_node(event->start_mark);
          null.scalar.kind = YamlKind::kNull;
          root_ = &null;
        }
        tree_.set_root(*root_);
        return std::move(tree_);
      case YAML_DOCUMENT_START_EVENT:
        if (seen_document) {
          fail("a second document starts here", event->start_mark,
               "frontmatter is closed by a line of exactly three hyphens");
        }
        seen_document = true;
        break;
      default:
        handle(*event);
    }
  }
}

void Composer::handle(const yaml_event_t& event) {
  switch (event.type) {
    case YAML_SCALAR_EVENT: {
      const YamlNode& node = scalar_node(event);
      if (event.data.scalar.anchor) anchors_[std::string(chars(event.data.scalar.anchor))] = &node;
      attach(node);
      break;
    }
    case YAML_ALIAS_EVENT:
      attach(alias_node(event));
      break;
    case YAML_SEQUENCE_START_EVENT:
      check_tag(event, chars(event.data.sequence_start.tag), "tag:yaml.org,2002:seq");
      open_collection(event, YamlKind::kSequence);
      break;
    case YAML_MAPPING_START_EVENT:
      check_tag(event, chars(event.data.mapping_start.tag), "tag:yaml.org,2002:map");
      open_collection(event, YamlKind::kMapping);
      break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
      close_collection();
      break;
    default:
      break;  // stream start, document end
  }
}

void Composer::check_tag(const yaml_event_t& event, std::string_view tag,
                         std::string_view wanted) const {
  if (tag.empty() || tag == "!" || tag == wanted) return;
  fail("the tag " + in_quotes(tag) + " has no meaning here", event.start_mark,
       "write the value without a tag");
}

YamlNode& Composer::new_node(const yaml_mark_t& mark) {
  YamlNode& node = tree_.add();
  node.line = file_line(mark);
  node.column = file_column(mark);
  return node;
}

YamlNode& Composer::scalar_node(const yaml_event_t& event) {
  const auto& data = event.data.scalar;
  YamlNode& node = new_node(event.start_mark);
  node.text.assign(reinterpret_cast<const char*>(data.value), data.length);
  node.is_plain = data.style == YAML_PLAIN_SCALAR_STYLE;
  node.weight = node.text.size() + 1;
  const std::string_view tag = chars(data.tag);
  if (tag.empty() || tag == "!") {
    if (node.is_plain) node.scalar = resolve_plain(node.text);
    return node;
  }
  constexpr std::string_view kCore = "tag:yaml.org,2002:";
  const std::string_view name =
      tag.starts_with(kCore) ? tag.substr(kCore.size()) : std::string_view();
  if (name == "str") return node;
  const YamlScalar resolved = resolve_plain(node.text);
  const std::pair<std::string_view, YamlKind> kinds[] = {{"int", YamlKind::kInt},
                                                         {"float", YamlKind::kFloat},
                                                         {"bool", YamlKind::kBool},
                                                         {"null", YamlKind::kNull}};
  for (const auto& [word, kind] : kinds) {
    if (name != word) continue;
    if (resolved.kind == kind) {
      node.scalar = resolved;
      return node;
    }
    if (kind == YamlKind::kFloat) {
      if (const auto number = parse_python_float(node.text)) {
        node.scalar.kind = kind;
        node.scalar.number = *number;
        return node;
      }
    }
    fail(in_quotes(node.text) + " is not " + kind_words(kind) + " as its tag says",
         event.start_mark);
  }
  check_tag(event, tag, "");
  return node;
}

const YamlNode& Composer::alias_node(const yaml_event_t& event) {
  const std::string name(chars(event.data.alias.anchor));
  if (++num_aliases_ > kMaxAliases) {
    fail("more than 1,000 aliases", event.start_mark, "write the values out");
  }
  const auto found = anchors_.find(name);
  if (found == anchors_.end())
    fail("no anchor " + in_quotes(name) + " before this alias", event.start_mark,
         "put a value that begins with * in quotes");
  if (!found->second) {
    fail("the anchor " + in_quotes(name) + " contains itself", event.start_mark,
         "write the value out");
  }
  return *found->second;
}

void Composer::open_collection(const yaml_event_t& event, YamlKind kind) {
  if (stack_.size() >= kMaxDepth)
    fail("more than 64 levels of nesting", event.start_mark, "frontmatter needs at most five");
  YamlNode& node = new_node(event.start_mark);
  node.scalar.kind = kind;
  const yaml_char_t* anchor = kind == YamlKind::kSequence ? event.data.sequence_start.anchor
                                                          : event.data.mapping_start.anchor;
  if (anchor) anchors_[std::string(chars(anchor))] = nullptr;
  stack_.push_back({&node, std::string(chars(anchor))});
}

void Composer::close_collection() {
  Open open = std::move(stack_.back());
  stack_.pop_back();
  apply_merges(open);
  if (!open.anchor.empty()) anchors_[open.anchor] = open.node;
  attach(*open.node);
}

void Composer::attach(const YamlNode& node) {
  if (stack_.empty()) {
    root_ = &node;
    return;
  }
  Open& open = stack_.back();
  open.node->weight += node.weight;
  if (open.node->weight > kMaxWeight) {
    fail("its aliases stand for more than 16 MiB of text", open.node->line, open.node->column,
         "write the values out");
  }
  if (!open.node->is_mapping()) {
    open.node->items.push_back(&node);
  } else if (open.key) {
    add_entry(open, *std::exchange(open.key, nullptr), node);
  } else {
    if (node.is_mapping() || node.kind() == YamlKind::kSequence) {
      fail(std::string(kind_words(node.kind())) + " cannot be a key", node.line, node.column,
           "write a word as the key");
    }
    open.key = &node;
  }
}

void Composer::add_entry(Open& open, const YamlNode& key, const YamlNode& value) {
  if (key.is_plain && key.is_string() && key.text == "<<") {
    open.merges.push_back(&value);
    return;
  }
  const auto [where, is_new] = open.index.try_emplace(key_id(key), open.node->entries.size());
  if (is_new) {
    open.node->entries.push_back({&key, &value});
    return;
  }
  YamlNode::Entry& old = open.node->entries[where->second];
  warnings_.add("the key " + in_quotes(key.text) + " stands twice, on lines " +
                    std::to_string(old.key->line) + " and " + std::to_string(key.line) +
                    "; the last one counts",
                key.line, key.column);
  old = {&key, &value};
}

// Merged entries come first, in their order. Later ones win: what the mapping itself says over what
// it merges, a later << over an earlier one; only within one list of mappings the earlier wins.
void Composer::apply_merges(Open& open) {
  if (open.merges.empty()) return;
  const std::vector<YamlNode::Entry> own = std::move(open.node->entries);
  std::vector<YamlNode::Entry> all;
  std::unordered_map<std::string, size_t> index;
  const auto put = [&](const std::vector<YamlNode::Entry>& entries) {
    for (const YamlNode::Entry& entry : entries) {
      const auto [where, is_new] = index.try_emplace(key_id(*entry.key), all.size());
      if (is_new) {
        all.push_back(entry);
      } else {
        all[where->second] = entry;
      }
    }
  };
  for (const YamlNode* value : open.merges) {
    std::vector<const YamlNode*> sources{value};
    if (value->kind() == YamlKind::kSequence)
      sources.assign(value->items.rbegin(), value->items.rend());
    for (const YamlNode* source : sources) {
      if (!source->is_mapping()) {
        fail(std::string("<< needs a mapping or a list of mappings, got ") +
                 kind_words(source->kind()),
             value->line, value->column);
      }
      put(source->entries);
    }
  }
  put(own);
  open.node->entries = std::move(all);
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key->is_string() && entry.key->text == key) return entry.value;
  }
  return nullptr;
}

YamlTree parse_yaml(std::string_view text, int first_line, WarningSink& warnings) {
  if (text.size() > kMaxBytes) {
    throw Error(ErrorKind::kParse, "invalid YAML: the frontmatter is larger than 1 MiB",
                "move long text below the frontmatter", Place{warnings.path(), first_line, 1});
  }
  if (trim(text).empty()) {
    YamlTree tree;
    YamlNode& root = tree.add();
    root.scalar.kind = YamlKind::kMapping;
    root.line = first_line;
    tree.set_root(root);
    return tree;
  }
  return Composer(text, first_line, warnings).compose();
}

}  // namespace dlm
