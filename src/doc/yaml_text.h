// Writes single YAML values so that our reader, and PyYAML, read the same value back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dlm {

// Plain where that is safe, else in double quotes. In a flow list a comma needs quotes too.
std::string yaml_string(std::string_view value, bool in_flow = false);

// [a, b]
std::string yaml_flow_list(const std::vector<std::string>& values);

// "KEY: |" with the lines indented by two blanks, or "KEY: …" in quotes when a block cannot hold
// the value. No final LF. Meant for the last key of the frontmatter: line ends at the end of the
// value need empty lines behind the block.
std::string yaml_block(std::string_view key, std::string_view value);

}  // namespace dlm
