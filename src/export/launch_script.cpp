#include "export/launch_script.h"

#include "support/error.h"

namespace dlm {

std::string shell_word(const std::string& text) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return text;
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string launch_script(const std::string& about, const std::vector<LaunchWord>& words) {
  std::string script = "#!/bin/sh\n# " + about +
                       "\nset -eu\nhere=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)\nexec";
  for (const LaunchWord& word : words) {
    script += " ";
    if (!word.text.empty() || word.file.empty()) script += shell_word(word.text);
    if (!word.file.empty()) script += "\"$here\"/" + shell_word(word.file);
  }
  return script + " \"$@\"\n";
}

void write_script(const fs::path& path, const std::string& script) {
  write_file_atomic(path, script);
  std::error_code error;
  fs::permissions(path, fs::perms(0755), error);
  if (error) throw Error(ErrorKind::kIo, "cannot make the script runnable", {}, {path.string()});
}

}  // namespace dlm
