// A store in a temporary folder with a clock that stands still, for the tests of this room.
#pragma once

#include <gtest/gtest.h>

#include "fixed_clock.h"
#include "store/store_layout.h"
#include "store/store_lock.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {

inline constexpr const char* kTestId = "01KPG0GVBVZZZZZZZZZZZZZZZZ";

class StoreTest : public ::testing::Test {
 protected:
  // The message of the Error that `call` throws, with the store's path shown as STORE.
  template <typename Call>
  std::string fault(Call call) const {
    try {
      call();
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string root = store_.root().string();
      for (size_t at; (at = text.find(root)) != text.npos;) text.replace(at, root.size(), "STORE");
      return text;
    }
    return "no error";
  }

  TemporaryFolder folder_;
  FixedClock clock_{1'776'506'400'000'000};  // 2026-04-18T10:00:00Z
  StoreLayout store_{folder_.path(), kTestId};
};

}  // namespace dlm
