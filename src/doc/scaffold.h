// The text of a fresh document: short, but it parses and trains as it is.
#pragma once

#include <string>
#include <string_view>

namespace dlm {

// `id` is a new ULID, `base_model` a registry key or hf:org/name.
std::string scaffold_document(std::string_view id, std::string_view base_model);

}  // namespace dlm
