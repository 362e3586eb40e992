// Any bytes as a chat template: parsing and rendering it gives a text or an Error within small
// limits.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "support/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using dlm::jinja::Value;
  static const dlm::Json messages = dlm::parse_json(
      R"([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi é"},
          {"role": "assistant", "content": "Yo", "tool_calls": [{"id": 1, "arguments": {"x": 1.5}}]}])");
  dlm::jinja::Limits limits;
  limits.max_steps = 20'000;
  limits.max_bytes = 4 << 20;
  limits.max_output_bytes = 1 << 20;
  try {
    const auto parsed =
        dlm::jinja::parse_template(std::string_view(reinterpret_cast<const char*>(data), size));
    dlm::jinja::render(parsed,
                       {{"messages", Value::from_json(messages)},
                        {"add_generation_prompt", Value::boolean(true)},
                        {"bos_token", Value::string("<s>")},
                        {"tools", Value::none()}},
                       {2024, 7, 26}, limits);
  } catch (const dlm::Error& error) {
    if (error.kind() == dlm::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
