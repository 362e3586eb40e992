// The post-processor of a tokenizer.json for single texts: which special tokens go before and
// after. It refuses templates that use the text more than once; pairs of texts are not its
// business.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/json.h"

namespace dlm {

class PostProcessor {
 public:
  PostProcessor() = default;  // adds nothing
  // Throws Error(kFormat), also for ids that are not below `id_limit`.
  static PostProcessor from_json(const Json& json, size_t id_limit);

  const std::vector<int32_t>& before() const { return before_; }
  const std::vector<int32_t>& after() const { return after_; }

 private:
  void add(const Json& json, const std::string& where, size_t id_limit, int depth);
  void add_template(const Json& json, const std::string& where, size_t id_limit);
  void wrap(const std::vector<int32_t>& before, const std::vector<int32_t>& after);

  std::vector<int32_t> before_;
  std::vector<int32_t> after_;
};

}  // namespace dlm
