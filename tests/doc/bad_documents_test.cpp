// What people see when a document is wrong: the place, what was found, what is allowed, and what
// was probably meant. One literal line each; read them as someone who writes documents.
#include <gtest/gtest.h>

#include "doc/document.h"
#include "doc/grammar.h"
#include "doc/routing.h"
#include "refusal.h"

namespace dlm {
namespace {

const std::string kHead = "---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: tiny\n";

struct Bad {
  const char* text;
  const char* what;
  const char* hint;
};

// Everything that is checked before a document trains.
void read_whole(const std::string& text) {
  const Document document = parse_document(text, "d.dlm");
  check_routing(document);
  for (const Section& section : document.sections) {
    if (section.type == SectionType::kInstruction) parse_instruction(section, "d.dlm");
    if (section.type == SectionType::kPreference) parse_preference(section, "d.dlm");
  }
}

void expect_refused(const std::string& text, const Bad& bad) {
  const Refusal refusal = refuse([&] { read_whole(text); });
  EXPECT_EQ(refusal.kind, ErrorKind::kParse) << text;
  EXPECT_EQ(refusal.what, std::string("d.dlm:") + bad.what) << text;
  EXPECT_EQ(refusal.hint, bad.hint) << text;
}

// Whole files.
constexpr Bad kDocumentsWithoutFrontmatter[] = {
    {"", "1:1: the document is empty", "'dlm init FILE.dlm' writes a document to start from"},
    {"# Notes\n", "1:1: expected '---' on line 1 to open frontmatter, got '# Notes'",
     "'dlm init FILE.dlm' writes a document to start from"},
    {"---\ndlm_id: x\n", "1:1: no closing '---' found for frontmatter block",
     "end the frontmatter with a line of exactly three hyphens"},
    {" ---\nx\n", "1:1: expected '---' on line 1 to open frontmatter, got ' ---'",
     "remove the blanks around the three hyphens"},
    {"+++\ntitle = 1\n+++\n", "1:1: expected '---' on line 1 to open frontmatter, got '+++'",
     "'dlm init FILE.dlm' writes a document to start from"},
    {"---\n---\nText.\n", "2:1: dlm_id: required, but missing; base_model: required, but missing",
     "dlm init writes a document with a fresh id"},
    {"---\n- a\n- b\n---\n", "2:1: frontmatter must be a mapping, got a list",
     "write one 'key: value' per line between the two --- lines"},
    {"---\njust words\n---\n", "2:1: frontmatter must be a mapping, got text",
     "write one 'key: value' per line between the two --- lines"},
    {"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\n---\n", "2:1: base_model: required, but missing",
     "add the line 'base_model: …'"},
    {"---\nbase_model: tiny\n---\n", "2:1: dlm_id: required, but missing",
     "dlm init writes a document with a fresh id"},
    {"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F\nbase_model: tiny\n---\n",
     "2:9: dlm_id: must be a 26-char Crockford base32 ULID, got '01HZ4X7TGZM3J1A2B3C4D5E6F'",
     "dlm init writes a document with a fresh id"},
    {"---\ndlm_id: 5.5\nbase_model: tiny\n---\n", "2:9: dlm_id: must be text, got a number",
     "dlm init writes a document with a fresh id"},
    {"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: tiny\ndlm_version: 99\n---\n",
     "4:14: dlm_version 99 is newer than this parser, which knows versions up to 15",
     "a newer dlm wrote this document: update dlm, or check the number"},
    {"---\ndlm_id: 01HZ4X7TGZM3J1A2B3C4D5E6F7\nbase_model: tiny\ndlm_version: latest\n---\n",
     "4:14: dlm_version must be an integer, got text",
     "write the number alone, without quotes, for example dlm_version: 15"},
};
TEST(BadDocuments, DocumentsWithoutFrontmatter) {
  for (const Bad& bad : kDocumentsWithoutFrontmatter) expect_refused(bad.text, bad);
}

// Frontmatter that is no YAML; the lines begin on line 4.
constexpr Bad kFrontmatterThatIsNoYaml[] = {
    {"training:\n\tlora_r: 8\n",
     "5:1: invalid YAML: while scanning for the next token: found character that cannot start any "
     "token",
     "indent with blanks, not tabs"},
    {"system_prompt: Answer: yes\n",
     "4:22: invalid YAML: mapping values are not allowed in this context",
     "put a value that holds ': ' in quotes, and indent the keys of one mapping alike"},
    {"system_prompt: \"no end\n",
     "4:23: invalid YAML: while scanning a quoted scalar: found unexpected end of stream",
     "close the quotes that open here"},
    {"system_prompt: @home\n",
     "4:16: invalid YAML: while scanning for the next token: found character that cannot start any "
     "token",
     "put a value that begins with this sign in quotes"},
    {"system_prompt: \"a\\qb\"\n",
     "4:18: invalid YAML: while parsing a quoted scalar: found unknown escape character",
     "a backslash begins an escape in double quotes; use single quotes"},
    {"training:\n  target_modules: [q_proj, v_proj\n",
     "5:34: invalid YAML: while parsing a flow sequence: did not find expected ',' or ']'",
     "close the list with ] or put a comma between its items"},
    {"training: {lora_r: 8\n",
     "4:21: invalid YAML: while parsing a flow mapping: did not find expected ',' or '}'",
     "close the mapping with } or put a comma between its entries"},
    {"training\n", "4:9: invalid YAML: while scanning a simple key: could not find expected ':'",
     "write 'key: value' lines, and indent the keys of one mapping alike"},
    {"training:\n  lora_r: 8\n seed: 1\n",
     "6:2: invalid YAML: while parsing a block mapping: did not find expected key",
     "write 'key: value' lines, and indent the keys of one mapping alike"},
    {"system_prompt: *later\n", "4:16: invalid YAML: no anchor 'later' before this alias",
     "put a value that begins with * in quotes"},
    {"training: &t {cache: *t}\n", "4:22: invalid YAML: the anchor 't' contains itself",
     "write the value out"},
    {"system_prompt: !secret x\n", "4:16: invalid YAML: the tag '!secret' has no meaning here",
     "write the value without a tag"},
    {"? [a, b]\n: 1\n", "4:3: invalid YAML: a list cannot be a key", "write a word as the key"},
    {"system_prompt: a\x01"
     "b\n",
     "4:17: invalid YAML: control characters are not allowed", "remove the control character"},
    {"...\nmore: 1\n", "5:1: invalid YAML: did not find expected <document start>",
     "frontmatter is closed by a line of exactly three hyphens"},
};
TEST(BadDocuments, FrontmatterThatIsNoYaml) {
  for (const Bad& bad : kFrontmatterThatIsNoYaml) expect_refused(kHead + bad.text + "---\n", bad);
}

// Keys.
constexpr Bad kUnknownKeys[] = {
    {"trainig:\n  lora_r: 8\n", "4:1: trainig: not a known key", "did you mean 'training'?"},
    {"lora_r: 8\n", "4:1: lora_r: not a known key", "'lora_r' belongs below 'training'"},
    {"training:\n  base_model: tiny\n", "5:3: training.base_model: not a known key",
     "'base_model' stands at the left margin, below no other key"},
    {"author: me\n", "4:1: author: not a known key",
     "the keys here are dlm_id, dlm_version, base_model, training, export, system_prompt"},
    {"training:\n  learning_rte: 1e-4\n", "5:3: training.learning_rte: not a known key",
     "did you mean 'learning_rate'?"},
    {"training:\n  beta: 0.2\n", "5:3: training.beta: not a known key",
     "'beta' belongs below 'training.preference.hyperparams'"},
    {"training:\n  preference:\n    hyperparams:\n      Beta: 0.2\n",
     "7:7: training.preference.hyperparams.Beta: not a known key", "did you mean 'beta'?"},
    {"training:\n  sources:\n    - pth: src\n",
     "6:7: training.sources.0.path: required, but missing; training.sources.0.pth: not a known key",
     "did you mean 'path' where 'pth' stands?"},
    {"5: x\n", "4:1: 5: not a known key",
     "the keys here are dlm_id, dlm_version, base_model, training, export, system_prompt"},
};
TEST(BadDocuments, UnknownKeys) {
  for (const Bad& bad : kUnknownKeys) expect_refused(kHead + bad.text + "---\n", bad);
}

// Values.
constexpr Bad kWrongValues[] = {
    {"training: yes\n", "4:11: training: must be a mapping, got a boolean",
     "write the settings as 'key: value' lines, indented below the key"},
    {"training:\n  lora_r: eight\n", "5:11: training.lora_r: must be an integer, got 'eight'",
     "write an integer from 1 to 256"},
    {"training:\n  lora_r: 0\n", "5:11: training.lora_r: must be at least 1, got 0",
     "write an integer from 1 to 256"},
    {"training:\n  lora_r: 99999999999999999999\n",
     "5:11: training.lora_r: must fit in 64 bits, got 99999999999999999999",
     "write an integer from 1 to 256"},
    {"training:\n  learning_rate: fast\n",
     "5:18: training.learning_rate: must be a number, got 'fast'", "write a number above 0"},
    {"training:\n  learning_rate: .inf\n",
     "5:18: training.learning_rate: must be a finite number, got .inf", "write a number above 0"},
    {"training:\n  warmup_ratio: 0.9\n",
     "5:17: training.warmup_ratio: must be at most 0.5, got 0.9", "write a number from 0 to 0.5"},
    {"training:\n  optimizer: adam\n",
     "5:14: training.optimizer: must be 'adamw_torch', 'adamw_bnb_8bit', 'paged_adamw_8bit', "
     "'galore_adamw' or 'galore_adamw_8bit', got 'adam'",
     "did you mean 'adamw_torch'?"},
    {"training:\n  adapter: Lora\n",
     "5:12: training.adapter: must be 'lora', 'qlora' or 'dora', got 'Lora'",
     "did you mean 'lora'?"},
    {"training:\n  cache:\n    enabled: maybe\n",
     "6:14: training.cache.enabled: must be true or false, got 'maybe'", ""},
    {"training:\n  sources: src\n", "5:12: training.sources: must be a list, got text",
     "begin each source with '- path: …'"},
    {"training:\n  sources:\n    - path:\n",
     "6:12: training.sources.0.path: must be text, got null", "write a value behind the colon"},
    {"training:\n  adapters: {}\n", "5:13: training.adapters: at least one adapter must stand here",
     "for a single adapter leave the key 'adapters' out"},
    {"training:\n  adapters:\n    My-Tone: {}\n",
     "6:5: training.adapters: 'My-Tone' is not a valid adapter name (a small letter, then up to 31 "
     "small letters, digits or underscores)",
     "did you mean 'my_tone'?"},
    {"training:\n  gate: {enabled: true}\n",
     "5:19: training: gate.enabled: true needs two or more named adapters to choose between, got 0",
     "declare them below training.adapters"},
    {"training:\n  lora_r: 16\n  adapters:\n    tone: {}\n",
     "5:11: training: beside training.adapters the flat per-adapter fields [lora_r] must keep "
     "their defaults",
     "move them below the name of each adapter"},
    {"training:\n  target_modules: q_proj\n",
     "5:19: training.target_modules: must be 'auto' or a list of module names",
     "for example target_modules: [q_proj, v_proj]"},
    {"system_prompt: 5\n", "4:16: system_prompt: must be text, got an integer",
     "put the value in quotes to make it text"},
    {"export:\n  default_quant: Q4\n",
     "5:18: export.default_quant: must be 'Q4_K_M', 'Q5_K_M', 'Q6_K' or 'Q8_0', got 'Q4'",
     "did you mean 'Q4_K_M'?"},
    {"export:\n  default_top_p: 1.5\n", "5:18: export.default_top_p: must be at most 1, got 1.5",
     "write a number above 0, at most 1"},
    {"training:\n  seed: -1\n  lora_r: 999\n",
     "6:11: training.lora_r: must be at most 256, got 999; training.seed: must be at least 0, got "
     "-1",
     "write an integer from 1 to 256"},
};
TEST(BadDocuments, WrongValues) {
  for (const Bad& bad : kWrongValues) expect_refused(kHead + bad.text + "---\n", bad);
}

// Bodies; they begin on line 5.
constexpr Bad kWrongFences[] = {
    {"::instuction::\n",
     "5:1: unknown section fence '::instuction::'; the types are prose, instruction, preference, "
     "image, audio",
     "did you mean 'instruction'?"},
    {"::Instruction::\n",
     "5:1: unknown section fence '::Instruction::'; the types are prose, instruction, preference, "
     "image, audio",
     "did you mean 'instruction'?"},
    {"::qa::\n",
     "5:1: unknown section fence '::qa::'; the types are prose, instruction, preference, image, "
     "audio",
     "to keep this line as text, put a backslash before it or place it in a code block"},
    {"::instruction#::\n", "5:1: fence '::instruction#::' has an empty adapter suffix after '#'",
     "name an adapter of training.adapters, or remove the '#'"},
    {"::instruction#Tone::\n",
     "5:1: fence '::instruction#Tone::' has an invalid adapter name 'Tone'",
     "a small letter, then up to 31 small letters, digits or underscores"},
    {"::instruction#tone::\n", "5:1: no adapter is named 'tone'; the document declares: default",
     "declare it below training.adapters, or remove the name from the fence"},
    {"::image::\n", "5:1: fence '::image::' requires attributes",
     "for example ::image path=\"…\"::"},
    {"::image src=\"a.png\"::\n", "5:1: fence '::image …::' has unknown attribute 'src'",
     "it takes path and alt"},
    {"::audio path=\"a.wav\"::\n",
     "5:1: fence '::audio …::' is missing required attribute(s) transcript",
     "for example ::audio path=\"…\" transcript=\"…\"::"},
    {"::imag path=\"a.png\"::\n",
     "5:1: unknown attribute fence '::imag …::'; only image and audio take attributes",
     "did you mean 'image'?"},
    {"::prose title=\"x\"::\n", "5:1: fence '::prose …::' does not take attributes",
     "write ::prose:: alone on its line"},
    {"::image path=\"a\" path=\"b\"::\n", "5:1: fence '::image …::' repeats attribute 'path'",
     "keep one of them"},
    {"::image path=\"é.png\"::\n",
     "5:1: fence '::image …::': the attribute 'path' contains non-ASCII characters",
     "rename the file to plain letters, digits, '-' and '_'"},
    {"Text.\n```\ncode\n", "6:1: unterminated triple-backtick code block, which opens here",
     "close it with a line of ```"},
};
TEST(BadDocuments, WrongFences) {
  for (const Bad& bad : kWrongFences) expect_refused(kHead + "---\n" + bad.text, bad);
}

// Sections.
constexpr Bad kWrongSections[] = {
    {"::instruction::\n", "6:1: instruction section has no ### Q / ### A pairs",
     "write '### Q', the question, '### A' and the answer, each header alone"},
    {"::instruction::\nWhat?\n", "6:1: expected `### Q` header alone on its line, got 'What?'",
     "write '### Q', the question, '### A' and the answer, each header alone"},
    {"::instruction::\n### Question\nq\n",
     "6:1: expected `### Q` header alone on its line, got '### Question'",
     "write '### Q', the question, '### A' and the answer, each header alone"},
    {"::instruction::\n### Q\nq\n", "8:1: ### Q without matching `### A` at end of section",
     "write '### Q', the question, '### A' and the answer, each header alone"},
    {"::instruction::\n### Q\n### A\na\n", "7:1: ### Q body is empty",
     "write the question below its header"},
    {"::instruction::\n### Q\nq\n### A\n", "9:1: ### A body is empty",
     "write the answer below its header"},
    {"::instruction::\n### Q\nq\n### Q\nr\n",
     "8:1: ### Q must be followed by `### A` alone on its line, got '### Q'",
     "write '### Q', the question, '### A' and the answer, each header alone"},
    {"::preference::\n### Prompt\np\n### Rejected\nr\n",
     "8:1: expected `### Chosen` header alone on its line, got '### Rejected'",
     "write '### Prompt', '### Chosen' and '### Rejected' in this order, each alone on its line"},
    {"::preference::\n### Prompt\np\n", "8:1: expected `### Chosen` header, got end of section",
     "write '### Prompt', '### Chosen' and '### Rejected' in this order, each alone on its line"},
    {"::preference::\n### Prompt\np\n### Chosen\n### Rejected\nr\n",
     "9:1: `### Chosen` body is empty", "write the text below its header"},
    {"::preference::\n",
     "6:1: preference section has no ### Prompt / ### Chosen / ### Rejected triples",
     "write '### Prompt', '### Chosen' and '### Rejected' in this order, each alone on its line"},
    {"::preference::\n### Q\nq\n",
     "6:1: expected `### Prompt` header alone on its line, got '### Q'",
     "write '### Prompt', '### Chosen' and '### Rejected' in this order, each alone on its line"},
    {"::preference::\n<!-- dlm-auto-mined: judge_name=\"x\" -->\n",
     "6:1: dlm-auto-mined marker is missing required attribute(s) judge_score_chosen, "
     "judge_score_rejected, mined_at, mined_run_id",
     "dlm writes this line; put it back as it was, or remove it to keep the section as your own"},
    {"::instruction::\n<!-- dlm-auto-synth: teacher=\"x\" -->\n",
     "6:1: dlm-auto-synth marker has unknown attribute 'teacher'; it takes synth_teacher, "
     "synth_strategy, synth_at, source_section_id",
     "dlm writes this line; put it back as it was, or remove it to keep the section as your own"},
    {"::instruction::\n<!-- dlm-auto-synth: -->\n", "6:1: invalid dlm-auto-synth marker syntax",
     "its attributes are key=\"value\" pairs, each with one blank before it"},
};
TEST(BadDocuments, WrongSections) {
  for (const Bad& bad : kWrongSections) expect_refused(kHead + "---\n" + bad.text, bad);
}

TEST(BadDocuments, NamePlacesInTextWithOtherLineEnds) {
  for (const char* line_end : {"\r\n", "\r"}) {
    std::string text;
    for (const char c : kHead + "---\nText.\n::instuction::\n") {
      text += c == '\n' ? std::string(line_end) : std::string(1, c);
    }
    EXPECT_TRUE(refuse([&] { read_whole(text); }).what.starts_with("d.dlm:6:1: unknown section"));
    EXPECT_TRUE(refuse([&] { read_whole("\xEF\xBB\xBF" + text); }).what.starts_with("d.dlm:6:1: "));
  }
}

TEST(BadDocuments, NamePlacesOfBytesThatAreNoText) {
  const std::string nul = kHead + "system_prompt: a" + std::string(1, '\0') + "b\n---\n";
  const Refusal control = refuse([&] { read_whole(nul); });
  EXPECT_EQ(control.what, "d.dlm:4:17: invalid YAML: control characters are not allowed");
  EXPECT_EQ(control.hint, "remove the control character");
  const Refusal utf16 = refuse([] { read_whole(std::string("\xFF\xFE-\0-\0-\0", 8)); });
  EXPECT_EQ(utf16.what, "d.dlm: this is a binary file, not a .dlm document");
  EXPECT_EQ(refuse([] { read_whole(kHead + "---\nsoup\xC3\x28\n"); }).what,
            "d.dlm:5:5: invalid UTF-8 at byte 64: missing continuation byte");
  EXPECT_EQ(refuse([] { read_whole(kHead + "---\n\xED\xA0\x80\n"); }).what,
            "d.dlm:5:1: invalid UTF-8 at byte 60: surrogate code point");
}

// Bounded in time, memory and stack: each of these takes milliseconds.
TEST(BadDocuments, OfHugeSizesAreRefusedOrRead) {
  const auto what = [](const std::string& lines) {
    return refuse([&] { read_whole(kHead + lines + "---\n"); }).what;
  };
  EXPECT_EQ(what("training: " + std::string(100000, '[') + "\n"),
            "d.dlm:4:74: invalid YAML: more than 64 levels of nesting");
  std::string steps;
  for (int i = 0; i < 1000; ++i) steps += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_EQ(what(steps), "d.dlm:68:65: invalid YAML: more than 64 levels of nesting");
  EXPECT_EQ(what("system_prompt: " + std::string(size_t{2} << 20, 'x') + "\n"),
            "d.dlm:2:1: invalid YAML: the frontmatter is larger than 1 MiB");
  std::string laughs = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 60; ++i) {
    const std::string last = "*a" + std::to_string(i - 1), name = "a" + std::to_string(i);
    laughs += name + ": &" + name + " [" + last + ", " + last + "]\n";
  }
  EXPECT_NE(what(laughs).find("its aliases stand for more than 16 MiB"), std::string::npos);

  constexpr size_t kLong = size_t{4} << 20;
  for (const char* piece : {"a", "::", "\\", "::image path=\"", " "}) {
    std::string line;
    line.reserve(kLong + 32);
    while (line.size() < kLong) line += piece;
    EXPECT_EQ(parse_document(kHead + "---\nx\n" + line + "\n", "").sections.size(), 1u) << piece;
  }
}

}  // namespace
}  // namespace dlm
