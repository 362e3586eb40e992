#include "data/source_sections.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>
#include <unordered_set>

#include "data/open_file.h"
#include "data/source_path.h"
#include "support/error.h"
#include "support/hash.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr size_t kMaxListedFolders = 4;
constexpr size_t kMaxWarnings = 20;

constexpr std::array<std::string_view, 7> kImageSuffixes = {"png", "jpg", "jpeg", "webp",
                                                            "gif", "bmp", "tiff"};
constexpr std::array<std::string_view, 3> kAudioSuffixes = {"wav", "flac", "ogg"};

template <size_t N>
bool has_suffix(const std::array<std::string_view, N>& suffixes, std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  const std::string suffix = lower_ascii(name.substr(dot + 1));
  return std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end();
}

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileStamp stamp_of(const struct stat& status) {
  FileStamp stamp;
  stamp.device = static_cast<uint64_t>(status.st_dev);
  stamp.inode = static_cast<uint64_t>(status.st_ino);
  stamp.size = static_cast<uint64_t>(status.st_size);
  stamp.modified_ns = nanoseconds(status.st_mtim);
  stamp.changed_ns = nanoseconds(status.st_ctim);
  return stamp;
}

FileFacts facts_of(std::string_view bytes) {
  FileFacts facts;
  if (bytes.find('\0') != std::string_view::npos) {
    facts.verdict = FileVerdict::kBinary;
  } else if (find_utf8_fault(bytes)) {
    facts.verdict = FileVerdict::kNotUtf8;
  } else {
    facts.secret = find_secret(bytes);
  }
  facts.sha256 = sha256_hex(bytes);
  return facts;
}

class Reader {
 public:
  Reader(const Document& document, const SourceOptions& options)
      : document_(document),
        options_(options),
        place_{document.path.string()},
        known_(options.index.empty() ? SourceIndex() : SourceIndex::read(options.index)) {
    const fs::path& path = options.document.empty() ? document.path : options.document;
    anchor_ = source_anchor(path);
    std::error_code error;
    own_path_ = fs::canonical(path, error).string();
  }

  SourceSections read() {
    const auto& directives = document_.frontmatter.training.sources;
    if (!directives) return {};
    for (size_t i = 0; i < directives->size(); ++i) {
      try {
        read_directive((*directives)[i]);
      } catch (const Error& error) {
        // Errors of files below have a place of their own.
        const std::string key = "training.sources." + std::to_string(i) + ": ";
        if (!error.place().path.empty()) throw;
        throw Error(error.kind(), key + error.message(), error.hint(), place_);
      }
    }
    out_.index_has_changed = !options_.index.empty() && !(out_.index == known_);
    return std::move(out_);
  }

 private:
  void read_directive(const SourceDirective& directive) {
    const SourcesPolicy policy = document_.frontmatter.training.sources_policy;
    const SourcePath source = resolve_source(directive.path, anchor_, policy);
    if (source.leaves_anchor && fs::path(directive.path).is_relative() &&
        !directive.path.starts_with('~')) {
      warn("training.sources: " + printable_path(directive.path) +
               " leads out of the document's folder, to " + printable_path(source.path.string()),
           place_);
    }
    directive_ = &directive;
    is_strict_ = policy == SourcesPolicy::kStrict;
    max_bytes_ = std::min(directive.max_bytes_per_file.value_or(kDefaultMaxSourceFileBytes),
                          kMaxSourceFileBytes);
    record_ = {};
    record_.path = directive.path;
    digest_ = {};
    SourceRules rules(directive.include, directive.exclude);
    if (is_folder(source.path)) {
      root_ = source.path;
      shown_root_ = printable_path(directive.path);
      while (shown_root_.size() > 1 && shown_root_.ends_with('/')) shown_root_.pop_back();
      walk_source_tree(root_, shown_root_, rules, events());
    } else {
      root_ = source.path.parent_path();
      shown_root_ = printable_path(fs::path(directive.path).parent_path().string());
      read_single_file(source.path.filename().string(), rules);
    }
    record_.sha256 = digest_.hex();
    out_.records.push_back(std::move(record_));
  }

  // Lets the disk bring a folder's files while the first are being looked at; in a cold tree that
  // is most of the time.
  void ask_ahead(int folder, const char* name) const {
    struct stat status {};
    if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_size > max_bytes_ ||
        (!options_.keeps_text && known_.find(stamp_of(status)) != nullptr)) {
      return;
    }
    const OpenFile file = OpenFile::at(folder, name, O_NOFOLLOW);
    if (file.is_open()) ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_WILLNEED);
  }

  void read_single_file(const std::string& name, const SourceRules& rules) {
    if (find_utf8_fault(name)) {
      ++record_.skipped_encoding;
      return;
    }
    const SourceDecision decision = rules.decide(name);
    if (decision.choice != SourceChoice::kTaken) return count(decision.choice);
    const OpenFile folder = OpenFile::at(AT_FDCWD, root_.c_str(), O_DIRECTORY);
    if (!folder.is_open()) return count_unreadable(name, std::generic_category().message(errno));
    take({name, folder.get(), name.c_str(), false, false, rules});
  }

  WalkEvents events() {
    WalkEvents e;
    if (!directive_->max_files) {
      e.on_ahead = [this](int folder, const char* name) { ask_ahead(folder, name); };
    }
    e.on_file = [this](const WalkedFile& file) { return take(file); };
    e.on_left_out = [this](const std::string&, SourceChoice choice) { count(choice); };
    e.on_folder_left_out = [this](const std::string& folder) {
      ++record_.skipped_folders;
      if (record_.left_out_folders.size() < kMaxListedFolders) {
        record_.left_out_folders.push_back(folder);
      }
    };
    e.on_unreadable = [this](const std::string& path, const std::string& reason) {
      count_unreadable(path, reason);
    };
    e.on_bad_name = [this](const std::string& path) {
      ++record_.skipped_encoding;
      warn("the name is not UTF-8; the file or folder is left out", {shown(path)});
    };
    e.on_config = [this](const TreeConfigFound& found) {
      if (found.config && !found.config->weights.empty()) out_.has_weights = true;
      out_.configs.push_back(found);
    };
    e.on_warning = [this](const Warning& warning) { warn(warning.message, warning.place); };
    return e;
  }

  std::string shown(const std::string& path) const {
    const std::string printable = printable_path(path);
    if (path.empty()) return shown_root_;
    return shown_root_.empty() ? printable
                               : (fs::path(shown_root_) / printable).lexically_normal().string();
  }

  void warn(std::string message, Place place) {
    if (out_.warnings.size() < kMaxWarnings) {
      out_.warnings.push_back({std::move(message), std::move(place)});
    }
  }

  void count(SourceChoice choice) {
    ++record_.skipped_by_descent;
    if (choice == SourceChoice::kDefaultSecret) ++record_.skipped_secret_name;
    if (choice == SourceChoice::kDefaultOther) ++record_.skipped_default;
  }

  void count_unreadable(const std::string& path, const std::string& reason) {
    ++record_.skipped_unreadable;
    warn("cannot be read, and is left out: " + reason, {shown(path)});
  }

  // Returns whether the walk goes on.
  bool take(const WalkedFile& file) {
    if (directive_->max_files && record_.file_count >= *directive_->max_files) {
      record_.is_cut = true;
      return false;
    }
    struct stat status {};
    if (::fstatat(file.folder, file.name, &status, file.is_link ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
      count_unreadable(file.path, std::generic_category().message(errno));
      return true;
    }
    if (!S_ISREG(status.st_mode)) return true;  // a link to a folder
    fs::path target = root_ / file.path;
    if (file.is_link) {
      std::error_code error;
      target = fs::canonical(target, error);
      if (error) {
        count_unreadable(file.path, error.message());
        return true;
      }
      if (is_strict_ && !is_inside(target, root_)) {
        ++record_.skipped_outside;
        return true;
      }
    }
    if (target == own_path_) return true;
    if (status.st_size > max_bytes_) {
      ++record_.skipped_over_size;
    } else if (has_suffix(kImageSuffixes, file.path)) {
      ++record_.skipped_image_no_store;
    } else if (has_suffix(kAudioSuffixes, file.path)) {
      ++record_.skipped_audio_no_store;
    } else if (taken_.contains(target.string())) {
      ++record_.skipped_duplicate;
    } else if (take_text(file, stamp_of(status))) {
      taken_.insert(target.string());
    }
    return true;
  }

  // Returns whether the file was taken.
  bool take_text(const WalkedFile& file, FileStamp stamp) {
    std::string content = "# source: " + printable_path(file.path) + "\n\n";
    const size_t header = content.size();
    const FileFacts* known = known_.find(stamp);
    FileFacts facts;
    if (known != nullptr && (!options_.keeps_text || !can_be_wanted(file, *known))) {
      facts = *known;
    } else {
      if (!read_bytes(file, stamp, content)) return false;
      known = known_.find(stamp);
      facts = known ? *known : facts_of(std::string_view(content).substr(header));
    }
    const bool is_taken = is_wanted(file, facts);
    if (is_taken) {
      ++record_.file_count;
      record_.total_bytes += static_cast<int64_t>(stamp.size);
      total_bytes_ += static_cast<int64_t>(stamp.size);
      if (total_bytes_ > kMaxSourceBytes) {
        throw Error(
            ErrorKind::kTrain,
            "the sources hold more than " + std::to_string(kMaxSourceBytes >> 30) + " GiB of text",
            "take fewer files: see include, exclude and max_files");
      }
      digest_.update(facts.sha256 + "  " + file.path + "\n");
      if (options_.keeps_text) add_section(file, std::move(content), header);
    }
    out_.index.add(stamp, std::move(facts), options_.now_unix_seconds);
    return is_taken;
  }

  // Appends the file's bytes. The stamp becomes that of the file as it was read.
  bool read_bytes(const WalkedFile& file, FileStamp& stamp, std::string& content) {
    const OpenFile open = OpenFile::at(file.folder, file.name, file.is_link ? 0 : O_NOFOLLOW);
    struct stat status {};
    if (!open.is_open() || ::fstat(open.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
      count_unreadable(file.path, std::generic_category().message(errno));
      return false;
    }
    stamp = stamp_of(status);
    const size_t header = content.size();
    content.reserve(header + std::min(stamp.size, static_cast<uint64_t>(max_bytes_)) + 1);
    ++out_.files_read;
    if (!open.read(content, static_cast<size_t>(max_bytes_))) {
      if (errno == EFBIG) {
        ++record_.skipped_over_size;
      } else {
        count_unreadable(file.path, std::generic_category().message(errno));
      }
      return false;
    }
    if (content.size() - header != stamp.size) {
      // It grew or shrank meanwhile: what was read is what counts, and no stamp stands for it.
      stamp.size = content.size() - header;
      stamp.changed_ns = std::numeric_limits<int64_t>::max();
    }
    return true;
  }

  bool can_be_wanted(const WalkedFile& file, const FileFacts& facts) const {
    return facts.verdict == FileVerdict::kText &&
           (!facts.secret || options_.allows_secrets || file.allows_secrets);
  }

  // Counts what is not.
  bool is_wanted(const WalkedFile& file, const FileFacts& facts) {
    if (facts.verdict == FileVerdict::kBinary) {
      ++record_.skipped_binary;
      return false;
    }
    if (facts.verdict == FileVerdict::kNotUtf8) {
      ++record_.skipped_encoding;
      warn("this is not UTF-8 text; the file is left out", {shown(file.path)});
      return false;
    }
    if (!facts.secret) return true;
    const bool is_allowed = can_be_wanted(file, facts);
    out_.secrets.push_back({shown(file.path), *facts.secret, is_allowed});
    if (!is_allowed) ++record_.skipped_secret;
    return is_allowed;
  }

  void add_section(const WalkedFile& file, std::string content, size_t header) {
    const std::string_view text = std::string_view(content).substr(header);
    if (text.starts_with("\xEF\xBB\xBF") || text.find('\r') != std::string_view::npos) {
      const std::string normal = normalize_newlines(text);
      content.replace(header, std::string::npos, normal);
    }
    Section section;
    section.content = std::move(content);
    section.tags = file.rules.tags();
    section.weight = file.rules.weight();
    section.source_path = shown(file.path);
    out_.sections.push_back(std::move(section));
  }

  const Document& document_;
  const SourceOptions& options_;
  const Place place_;
  const SourceIndex known_;
  fs::path anchor_;
  fs::path own_path_;

  // Of the directive that is being read.
  const SourceDirective* directive_ = nullptr;
  bool is_strict_ = false;
  int64_t max_bytes_ = 0;
  fs::path root_;
  std::string shown_root_;
  SourceRecord record_;
  Sha256 digest_;

  std::unordered_set<std::string> taken_;
  int64_t total_bytes_ = 0;
  SourceSections out_;
};

}  // namespace

SourceSections read_sources(const Document& document, const SourceOptions& options) {
  return Reader(document, options).read();
}

}  // namespace dlm
