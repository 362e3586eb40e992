// Two templates, as short as they can be: contents are trimmed, and a system message is a turn.
#include "text/default_template.h"

namespace dlm {

DefaultTemplate chatml_template() {
  return {"chatml", R"({% for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\n' + (message['content'] | trim) + '<|im_end|>\n' }}
{%- endfor -%}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %})"};
}

DefaultTemplate plain_template(bool with_bos) {
  return {"plain",
          std::string(with_bos ? "{{ bos_token }}" : "") + R"({% for message in messages -%}
{% if message['role'] == 'assistant' -%}
{{ 'Assistant: ' + (message['content'] | trim) + eos_token + '\n\n' }}
{%- else -%}
{{ (message['role'] | capitalize) + ': ' + (message['content'] | trim) + '\n\n' }}
{%- endif %}
{%- endfor -%}
{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %})"};
}

}  // namespace dlm
