// The files of the gallery as the build put them into the program, unread. gallery.h reads them.
#pragma once

#include <string_view>
#include <vector>

namespace dlm {

struct GalleryFile {
  std::string_view name;  // of NAME.dlm
  std::string_view meta;  // NAME.meta.yaml
  std::string_view document;
};

// By name.
const std::vector<GalleryFile>& gallery_files();

}  // namespace dlm
