// The documentation against the program: flags of every command in both directions, and links that
// lead somewhere. It does not judge what the pages say beyond that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "support/file.h"

namespace dlm {
namespace {

using Flags = std::set<std::string>;

const fs::path kRoot = DLM_SOURCE_ROOT;

struct Output {
  std::string text;
  int status = -1;
};

Output run_program(const std::string& arguments) {
  const std::string command = std::string("'") + DLM_PROGRAM + "' " + arguments + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  Output output;
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer{};
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.text.append(buffer.data(), n);
  }
  output.status = ::pclose(pipe);
  return output;
}

Flags matches(const std::string& text, const std::regex& pattern) {
  Flags found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.insert((*it)[1].str());
  }
  return found;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The long names at the beginning of help lines: "  -v,--verbose ...", "  --base KEY ...".
Flags flags_in_help(const std::string& help) {
  const std::regex option("^  (?:-[a-zA-Z],)?(--[a-z][a-z0-9-]*).*");
  Flags flags;
  for (const std::string& line : lines_of(help)) {
    if (std::smatch found; std::regex_match(line, found, option)) flags.insert(found[1].str());
  }
  return flags;
}

// The subcommands that the program's own help lists.
std::set<std::string> commands_in_help(const std::string& help) {
  std::set<std::string> commands;
  const std::regex entry("^  ([a-z][a-z-]*)  .*");
  bool is_list = false;
  for (const std::string& line : lines_of(help)) {
    if (line.starts_with("Subcommands:")) is_list = true;
    std::smatch found;
    if (is_list && std::regex_match(line, found, entry)) commands.insert(found[1].str());
  }
  return commands;
}

// Every command that does something: "train", and "templates list" of a group.
std::set<std::string> all_commands() {
  std::set<std::string> commands;
  for (const std::string& command : commands_in_help(run_program("--help").text)) {
    const std::set<std::string> inner = commands_in_help(run_program(command + " --help").text);
    if (inner.empty()) commands.insert(command);
    for (const std::string& one : inner) commands.insert(command + " " + one);
  }
  return commands;
}

// docs/cli.md by its headings: "" for "## dlm", else the command's name.
std::map<std::string, std::string> documented_sections() {
  std::map<std::string, std::string> sections;
  std::string* current = nullptr;
  for (const std::string& line : lines_of(read_file(kRoot / "docs" / "cli.md"))) {
    if (line == "## dlm") {
      current = &sections[""];
    } else if (line.starts_with("## dlm ")) {
      current = &sections[line.substr(7)];
    } else if (line.starts_with("## ")) {
      current = nullptr;
    } else if (current != nullptr) {
      *current += line + "\n";
    }
  }
  return sections;
}

Flags flags_named_in(const std::string& text) {
  static const std::regex flag("(--[a-z][a-z0-9-]*)");
  return matches(text, flag);
}

// Flags in the first column of tables.
Flags flags_in_table(const std::string& section) {
  Flags flags;
  for (const std::string& line : lines_of(section)) {
    if (line.starts_with("| `-")) flags.merge(flags_named_in(line.substr(0, line.find('|', 1))));
  }
  return flags;
}

TEST(CommandLineDocs, HaveASectionForEveryCommandAndNoOther) {
  const Output help = run_program("--help");
  ASSERT_EQ(help.status, 0) << help.text;
  std::set<std::string> documented;
  for (const auto& [command, text] : documented_sections()) documented.insert(command);
  std::set<std::string> expected = all_commands();
  EXPECT_THAT(expected, testing::IsSupersetOf({"init", "train", "prompt", "templates list"}));
  expected.insert("");
  EXPECT_EQ(documented, expected);
}

TEST(CommandLineDocs, NameExactlyTheFlagsThatEachCommandTakes) {
  const Flags global = flags_in_help(run_program("--help").text);
  EXPECT_THAT(global, testing::IsSupersetOf({"--help", "--home", "--version"}));
  for (const auto& [command, text] : documented_sections()) {
    const Output help = run_program(command + " --help");
    ASSERT_EQ(help.status, 0) << command << ": " << help.text;
    Flags taken = flags_in_help(help.text);
    if (!command.empty()) {
      for (const std::string& nested : commands_in_help(help.text)) {
        taken.merge(flags_in_help(run_program(command + " " + nested + " --help").text));
      }
    }
    if (!command.empty()) taken.erase("--help");
    EXPECT_EQ(flags_in_table(text), taken) << "dlm " << command;
    taken.insert(global.begin(), global.end());
    for (const std::string& flag : flags_named_in(text)) {
      EXPECT_TRUE(taken.contains(flag)) << "dlm " << command << " has no " << flag;
    }
  }
}

TEST(CommandLineDocs, NameNoUnknownFlagInTheReadme) {
  Flags known = flags_in_help(run_program("--help").text);
  for (const auto& [command, text] : documented_sections()) {
    known.merge(flags_in_help(run_program(command + " --help").text));
  }
  for (const std::string& flag : flags_named_in(read_file(kRoot / "README.md"))) {
    EXPECT_TRUE(known.contains(flag)) << flag;
  }
}

// Links to pages of the project, without those to the web and within a page.
Flags links_in(const fs::path& page) {
  static const std::regex link(R"(\]\(([^)#:]+)(?:#[^)]*)?\))");
  return matches(read_file(page), link);
}

TEST(Docs, LinkOnlyToFilesThatExist) {
  std::vector<fs::path> pages = {kRoot / "README.md", kRoot / "CONTRIBUTING.md"};
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) pages.push_back(entry.path());
  ASSERT_GE(pages.size(), 9U);
  for (const fs::path& page : pages) {
    for (const std::string& target : links_in(page)) {
      EXPECT_TRUE(path_exists(page.parent_path() / target)) << page << " links to " << target;
    }
  }
}

TEST(Docs, AreAllReachableFromTheReadme) {
  std::set<fs::path> seen;
  std::vector<fs::path> open = {kRoot / "README.md"};
  while (!open.empty()) {
    const fs::path page = open.back();
    open.pop_back();
    if (page.extension() != ".md" || !path_exists(page) || !seen.insert(page).second) continue;
    for (const std::string& target : links_in(page)) {
      open.push_back((page.parent_path() / target).lexically_normal());
    }
  }
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) {
    EXPECT_TRUE(seen.contains(entry.path().lexically_normal())) << entry.path();
  }
}

}  // namespace
}  // namespace dlm
