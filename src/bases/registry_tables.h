// The rows of the registry, in three files for their length.
#pragma once

#include <vector>

#include "bases/registry.h"

namespace dlm {

std::vector<BaseInfo> bundled_and_qwen_bases();
std::vector<BaseInfo> other_text_bases();
std::vector<BaseInfo> media_base_table();

}  // namespace dlm
