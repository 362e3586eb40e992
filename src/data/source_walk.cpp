#include "data/source_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include "data/open_file.h"
#include "support/error.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr int kMaxDepth = 200;
constexpr int64_t kMaxEntries = 5'000'000;
constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr const char* kConfigFolder = ".dlm";

struct Entry {
  std::string name;
  unsigned char type;  // DT_…
};

class Walk {
 public:
  Walk(const std::string& shown_root, SourceRules& rules, const WalkEvents& events)
      : shown_root_(shown_root), rules_(rules), events_(events) {}

  void enter(const OpenFile& folder, std::string& path, int depth, bool is_covered) {
    if (depth > kMaxDepth) {
      throw Error(ErrorKind::kIo,
                  "the folders are nested more than " + std::to_string(kMaxDepth) + " deep",
                  "name a smaller folder, or leave this one out", {shown(path)});
    }
    std::vector<Entry> entries = list(folder, path);
    // What lies in a folder that is left out does not decide on itself.
    const bool has_config = !is_covered && enter_config(folder, path, entries);
    const size_t length = path.size();
    if (events_.on_ahead) {
      for (const Entry& entry : entries) {
        if (entry.type != DT_REG) continue;
        const std::string file = path.empty() ? entry.name : path + "/" + entry.name;
        if (rules_.decide(file).choice == SourceChoice::kTaken) {
          events_.on_ahead(folder.get(), entry.name.c_str());
        }
      }
    }
    for (const Entry& entry : entries) {
      if (is_stopped_) break;
      if (!path.empty()) path += '/';
      path += entry.name;
      visit(folder, path, entry, depth, is_covered);
      path.resize(length);
    }
    if (has_config) rules_.leave();
  }

 private:
  std::string shown(const std::string& path) const {
    return path.empty() ? shown_root_ : shown_root_ + "/" + path;
  }

  std::vector<Entry> list(const OpenFile& folder, const std::string& path) {
    std::vector<Entry> entries;
    // The stream owns its descriptor, and the folder is needed for longer.
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(::dup(folder.get())), ::closedir);
    if (!stream) {
      events_.on_unreadable(path, std::generic_category().message(errno));
      return entries;
    }
    while (true) {
      errno = 0;
      const dirent* found = ::readdir(stream.get());
      if (found == nullptr) break;
      const std::string_view name = found->d_name;
      if (name == "." || name == "..") continue;
      if (++num_entries_ > kMaxEntries) {
        throw Error(ErrorKind::kIo,
                    "the source has more than " + std::to_string(kMaxEntries) + " files",
                    "name a smaller folder, or leave folders out with training.sources.exclude",
                    {shown_root_});
      }
      entries.push_back({std::string(name), found->d_type});
    }
    if (errno != 0) events_.on_unreadable(path, std::generic_category().message(errno));
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return entries;
  }

  void visit(const OpenFile& folder, std::string& path, const Entry& entry, int depth,
             bool is_covered) {
    if (find_utf8_fault(entry.name)) {
      std::string readable;
      for (const uint32_t c : decode_utf8(path)) append_utf8(readable, c);
      events_.on_bad_name(readable);
      return;
    }
    unsigned char type = entry.type;
    if (type == DT_UNKNOWN) {
      struct stat status {};
      if (::fstatat(folder.get(), entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        type = static_cast<unsigned char>(IFTODT(status.st_mode));
      }
    }
    if (type == DT_DIR) {
      visit_folder(folder, path, entry, depth, is_covered);
    } else if (type == DT_REG || type == DT_LNK) {
      const SourceDecision decision = rules_.decide(path);
      if (decision.choice != SourceChoice::kTaken) {
        events_.on_left_out(path, decision.choice);
        return;
      }
      is_stopped_ = !events_.on_file({path, folder.get(), entry.name.c_str(), type == DT_LNK,
                                      decision.allows_secrets, rules_});
    }
  }

  void visit_folder(const OpenFile& folder, std::string& path, const Entry& entry, int depth,
                    bool is_covered) {
    is_covered = is_covered || rules_.excludes_all_below(path);
    if (is_covered && !rules_.may_take_below(path)) {
      if (entry.name != kConfigFolder) events_.on_folder_left_out(path);
      return;
    }
    const OpenFile below = OpenFile::at(folder.get(), entry.name.c_str(), O_DIRECTORY | O_NOFOLLOW);
    if (!below.is_open()) {
      events_.on_unreadable(path, std::generic_category().message(errno));
      return;
    }
    enter(below, path, depth + 1, is_covered);
  }

  // Whether the folder has a `.dlm` folder, whose rules then hold.
  bool enter_config(const OpenFile& folder, const std::string& path,
                    const std::vector<Entry>& entries) {
    const bool is_listed = std::any_of(entries.begin(), entries.end(),
                                       [](const Entry& e) { return e.name == kConfigFolder; });
    if (!is_listed) return false;
    const OpenFile config = OpenFile::at(folder.get(), kConfigFolder, O_DIRECTORY | O_NOFOLLOW);
    if (!config.is_open()) return false;
    TreeConfigFound found;
    found.folder = path;
    const std::string shown_folder = shown(path) + "/" + kConfigFolder + "/";
    if (const auto text = read_text(config, "training.yaml", shown_folder)) {
      found.has_training_yaml = true;
      WarningSink sink(shown_folder + "training.yaml");
      try {
        found.config = parse_training_yaml(*text, sink);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kParse) throw;
        events_.on_warning({error.message() + "; the file is not used", error.place()});
      }
      pass_on(sink);
    }
    std::vector<IgnoreRule> ignore;
    if (const auto text = read_text(config, "ignore", shown_folder)) {
      found.has_ignore = true;
      WarningSink sink(shown_folder + "ignore");
      ignore = parse_ignore_rules(*text, sink);
      found.num_ignore_rules = ignore.size();
      pass_on(sink);
    }
    if (!found.has_training_yaml && !found.has_ignore) return false;
    events_.on_config(found);
    try {
      rules_.enter(path, std::move(found.config), std::move(ignore));
    } catch (const Error& error) {  // a pattern that is too long
      throw error.at({shown_folder + "training.yaml"});
    }
    return true;
  }

  // The text of a file of a `.dlm` folder; none, with a warning, when it is there but no text.
  std::optional<std::string> read_text(const OpenFile& folder, const char* name,
                                       const std::string& shown_folder) {
    const auto warn = [&](const std::string& what) {
      events_.on_warning({what + "; the file is not used", {shown_folder + name}});
      return std::nullopt;
    };
    const OpenFile file = OpenFile::at(folder.get(), name, O_NOFOLLOW);
    if (!file.is_open()) {
      if (errno == ENOENT) return std::nullopt;
      return warn("cannot read the file: " + std::generic_category().message(errno));
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      return warn("this is not a regular file");
    }
    std::string bytes;
    if (!file.read(bytes, kMaxConfigBytes)) {
      return warn("the file is larger than " + std::to_string(kMaxConfigBytes) + " bytes");
    }
    if (const auto fault = find_utf8_fault(bytes)) {
      return warn("invalid UTF-8 at byte " + std::to_string(fault->byte_offset));
    }
    return normalize_newlines(bytes);
  }

  void pass_on(WarningSink& sink) {
    for (const Warning& warning : sink.take()) events_.on_warning(warning);
  }

  const std::string& shown_root_;
  SourceRules& rules_;
  const WalkEvents& events_;
  int64_t num_entries_ = 0;
  bool is_stopped_ = false;
};

}  // namespace

void walk_source_tree(const fs::path& root, const std::string& shown_root, SourceRules& rules,
                      const WalkEvents& events) {
  const OpenFile folder = OpenFile::at(AT_FDCWD, root.c_str(), O_DIRECTORY);
  if (!folder.is_open()) {
    throw Error(ErrorKind::kIo, "cannot read the folder: " + std::generic_category().message(errno),
                "check its permissions", {shown_root});
  }
  std::string path;
  Walk(shown_root, rules, events).enter(folder, path, 0, false);
}

}  // namespace dlm
