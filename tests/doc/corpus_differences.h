// The table of deliberate differences from the first program of the format, so that each is a
// decision.
#pragma once

#include <string>
#include <string_view>

namespace dlm {

// Deliberate differences from the observed behaviour of the first program. "canonical", "place" and
// "bodies" replace that one comparison; "outcome" replaces all of them by `ours`: the place and
// class of the error, or the types of the sections.
struct Difference {
  const char* file;
  const char* aspect;
  const char* ours;
  const char* reason;
};

constexpr const char* kPromptReason =
    "the final line end of the system prompt is kept; the first program's writer loses it";
constexpr const char* kMarkerReason = "the error is at the marker and not at the fence above it";
constexpr const char* kProseReason =
    "a prose fence is kept: without it the text changes its section";
constexpr const char* kQuoteReason = "without quotes the value would not read back";
constexpr const char* kCodeReason = "code blocks follow CommonMark";

constexpr Difference kDifferences[] = {
    {"valid/template_changelog.dlm", "canonical", "", kPromptReason},
    {"valid/template_coding_tutor.dlm", "canonical", "", kPromptReason},
    {"valid/template_domain_kb.dlm", "canonical", "", kPromptReason},
    {"valid/template_meeting_notes_summarizer.dlm", "canonical", "", kPromptReason},
    {"valid/template_personal_assistant.dlm", "canonical", "", kPromptReason},
    {"valid/template_shell_one_liner.dlm", "canonical", "", kPromptReason},
    {"valid/template_tool_use_example.dlm", "canonical", "", kPromptReason},
    {"valid/template_writing_partner.dlm", "canonical", "", kPromptReason},
    {"valid/instr_trailing_blank_stripped.dlm", "canonical", "",
     "empty lines at the end are kept: dropping one per writing would change the section id"},
    {"valid/router_prose_named.dlm", "canonical", "", kProseReason},
    {"invalid/auto_mined_bad_date.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_mined_missing.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_mined_repeat.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_mined_run_id_not_int.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_mined_score_not_float.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_mined_unknown.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_synth_missing.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_synth_repeat.dlm", "place", "6:1", kMarkerReason},
    {"invalid/auto_synth_unknown.dlm", "place", "6:1", kMarkerReason},
    {"invalid/synth_bad_source_id.dlm", "place", "7:1", kMarkerReason},
    {"invalid/unterminated_code_block.dlm", "place", "6:1",
     "the error is at the line that opens the block"},
    {"invalid/v1_dpo_malformed_string.dlm", "place", "6:8",
     "the error is at the old key training.dpo, which the document holds"},
    {"extra/comment_only_frontmatter.dlm", "place", "2:1", "every error has a column"},
    {"extra/mined_no_leading_space.dlm", "place", "7:1", kMarkerReason},
    {"extra/version_negative.dlm", "place", "3:14",
     "the error is at the number, not without a place"},
    {"extra/synth_empty_teacher.dlm", "outcome", "FenceError 7:1",
     "an error of the document with a place, not an untyped one"},
    {"extra/code_four_ticks.dlm", "outcome", "prose", kCodeReason},
    {"extra/code_indented.dlm", "outcome", "prose", kCodeReason},
    {"extra/code_inline_one_line.dlm", "outcome", "prose,instruction", kCodeReason},
    {"extra/code_tilde.dlm", "outcome", "prose", kCodeReason},
    {"extra/lr_inf.dlm", "outcome", "SchemaValidationError 6:18", "no training runs with it"},
    {"extra/ulid_all_digits.dlm", "outcome", "prose", "the text of an id of digits is still an id"},
    {"extra/qa_header_in_code_block.dlm", "bodies", "", "headers inside code blocks are text"},
    {"extra/fence_prose_explicit.dlm", "canonical", "", kProseReason},
    {"extra/fence_prose_named.dlm", "canonical", "", kProseReason},
    {"extra/glob_with_comma.dlm", "canonical", "", kQuoteReason},
    {"extra/path_2024_unquoted_on_write.dlm", "canonical", "", kQuoteReason},
    {"extra/trailing_blank_lines.dlm", "canonical", "",
     "empty lines at the end are kept: dropping one per writing would change the section id"},
    {"extra/system_prompt_not_last_block.dlm", "canonical", "", kPromptReason},
};

inline const Difference* find_difference(const std::string& file, std::string_view aspect) {
  for (const Difference& d : kDifferences) {
    if (file == d.file && aspect == d.aspect) return &d;
  }
  return nullptr;
}

}  // namespace dlm
