// Two kinds: patterns, which old trees rely on, and whole names. A pattern cannot name a folder at
// any depth: `**/build/**` also takes what lies in "rebuild".
#include "data/default_excludes.h"

#include <algorithm>
#include <array>
#include <vector>

#include "data/glob.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::array kSecretPatterns = {".env",
                                        ".env.*",
                                        "**/.env",
                                        "**/.env.*",
                                        "**/id_rsa",
                                        "**/id_ed25519",
                                        "**/*.pem",
                                        "**/*.key",
                                        "**/secrets.*",
                                        "**/*.p12",
                                        "**/*.pfx",
                                        "**/*.jks",
                                        "**/*.keystore",
                                        "**/*.kdbx",
                                        "**/*.ppk",
                                        "**/*.tfstate",
                                        "**/*.tfstate.backup"};

constexpr std::array kOtherPatterns = {"**/*.pyc",
                                       "**/*.pyo",
                                       "**/*.min.js",
                                       "**/*.min.css",
                                       "**/*.map",
                                       "**/*.rlib",
                                       "**/*.class",
                                       "**/*.jar",
                                       "**/*.o",
                                       "**/*.so",
                                       "**/*.dylib",
                                       "**/*.dll",
                                       "**/package-lock.json",
                                       "**/yarn.lock",
                                       "**/pnpm-lock.yaml",
                                       "**/Cargo.lock",
                                       "**/uv.lock",
                                       "**/poetry.lock",
                                       "**/Pipfile.lock",
                                       "**/*.ico",
                                       "**/*.pdf",
                                       "**/*.zip",
                                       "**/*.tar",
                                       "**/*.gz",
                                       "**/*.xz",
                                       "**/*.bz2",
                                       "**/*.7z",
                                       "**/*.wasm",
                                       "**/__pycache__/**"};

constexpr std::array<std::string_view, 17> kSecretFiles = {".netrc",
                                                           "_netrc",
                                                           ".npmrc",
                                                           ".pypirc",
                                                           ".pgpass",
                                                           ".my.cnf",
                                                           ".htpasswd",
                                                           ".git-credentials",
                                                           ".dockercfg",
                                                           "id_dsa",
                                                           "id_ecdsa",
                                                           "id_ecdsa_sk",
                                                           "id_ed25519_sk",
                                                           "credentials",
                                                           "credentials.json",
                                                           "service-account.json",
                                                           "service_account.json"};

constexpr std::array<std::string_view, 4> kSecretFolders = {".aws", ".gnupg", ".kube", ".ssh"};

constexpr std::array<std::string_view, 20> kOtherFolders = {".dlm",          ".git",
                                                            ".gradle",       ".hg",
                                                            ".mypy_cache",   ".next",
                                                            ".pytest_cache", ".ruff_cache",
                                                            ".svn",          ".terraform",
                                                            ".tox",          ".venv",
                                                            "__generated__", "bower_components",
                                                            "build",         "dist",
                                                            "generated",     "node_modules",
                                                            "target",        "venv"};

template <size_t N>
bool holds(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <size_t N>
std::vector<Glob> globs_of(const std::array<const char*, N>& patterns) {
  return {patterns.begin(), patterns.end()};
}

// What the names of the folders on the way say.
DefaultExclude by_folders(std::string_view folder) {
  for (const std::string_view name : split(folder, '/')) {
    if (holds(kOtherFolders, name)) return DefaultExclude::kOther;
    if (holds(kSecretFolders, name)) return DefaultExclude::kSecret;
  }
  return DefaultExclude::kNone;
}

}  // namespace

DefaultExclude default_exclude(std::string_view path) {
  static const std::vector<Glob> secrets = globs_of(kSecretPatterns);
  static const std::vector<Glob> others = globs_of(kOtherPatterns);
  const size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) {
    const DefaultExclude above = by_folders(path.substr(0, slash));
    if (above != DefaultExclude::kNone) return above;
  }
  const std::string_view name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (holds(kSecretFiles, name) || matches_any(secrets, path)) return DefaultExclude::kSecret;
  return matches_any(others, path) ? DefaultExclude::kOther : DefaultExclude::kNone;
}

bool default_excludes_folder(std::string_view folder) {
  return by_folders(folder) != DefaultExclude::kNone || folder.ends_with("__pycache__");
}

}  // namespace dlm
