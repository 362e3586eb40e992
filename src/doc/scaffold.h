// The text of a fresh document: short, but it parses and trains as it is.
#pragma once

#include <string>
#include <string_view>

namespace dlm {

enum class ScaffoldKind { kText, kImage, kAudio };

// `id` is a new ULID, `base_model` a registry key or hf:org/name. Those for images and recordings
// name a file that is not there yet.
std::string scaffold_document(std::string_view id, std::string_view base_model,
                              ScaffoldKind kind = ScaffoldKind::kText);

}  // namespace dlm
