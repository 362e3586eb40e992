// Errors of exports that people know by a prefix of their own: "preflight[adapter_config]",
// "merge", "ollama", "smoke".
#pragma once

#include <string>
#include <utility>

#include "support/error.h"

namespace dlm {

class ExportFault : public Error {
 public:
  ExportFault(std::string prefix, std::string message, std::string hint = {}, Place place = {})
      : Error(ErrorKind::kExport, std::move(message), std::move(hint), std::move(place)),
        prefix_(std::move(prefix)) {}
  const std::string& prefix() const { return prefix_; }

 private:
  std::string prefix_;
};

}  // namespace dlm
