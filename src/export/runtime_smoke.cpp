#include "export/runtime_smoke.h"

#include <unistd.h>

#include <array>
#include <charconv>

#include "export/export_fault.h"
#include "export/loopback.h"
#include "support/clock.h"
#include "support/interrupt.h"
#include "support/json.h"
#include "support/process.h"
#include "support/text.h"

namespace dlm {

namespace {

constexpr std::array<int, 3> kLeastOllama = {0, 4, 2};
// From here on a Modelfile's ADAPTER in GGUF is refused when the model is created.
constexpr std::array<int, 3> kOllamaWithoutAdapters = {0, 34, 1};
constexpr const char* kQuestion = "Hello.";
constexpr const char* kSkipHint = "or export the files alone with --skip-ollama";

ProcessResult run(const std::vector<std::string>& words, const fs::path& folder, int seconds,
                  const OnCommand& on_command) {
  if (on_command) on_command(words);
  return run_process(words, folder, seconds);
}

// The first "x.y.z" of a text.
std::optional<std::array<int, 3>> version_in(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    std::array<int, 3> parts{};
    const char* begin = text.data() + at;
    const char* const end = text.data() + text.size();
    size_t num_read = 0;
    for (int& part : parts) {
      const auto read = std::from_chars(begin, end, part);
      if (read.ec != std::errc()) break;
      begin = read.ptr;
      ++num_read;
      if (num_read < 3 && (begin == end || *begin++ != '.')) break;
    }
    if (num_read == 3) return parts;
    while (at + 1 < text.size() && text[at] >= '0' && text[at] <= '9' && text[at + 1] != '.') ++at;
  }
  return std::nullopt;
}

// Removes a model from Ollama, also when the user has asked to stop.
class Candidate {
 public:
  Candidate(const OllamaProgram& ollama, std::string name, fs::path folder,
            const OnCommand& on_command)
      : words_{ollama.path.string(), "rm", std::move(name)},
        folder_(std::move(folder)),
        on_command_(on_command) {}
  Candidate(const Candidate&) = delete;
  Candidate& operator=(const Candidate&) = delete;
  ~Candidate() {
    try {
      if (on_command_) on_command_(words_);
      run_process(words_, folder_, 60, OnInterrupt::kGoOn);
    } catch (const std::exception&) {  // what is left behind is named a candidate
    }
  }

 private:
  std::vector<std::string> words_;
  fs::path folder_;
  const OnCommand& on_command_;
};

std::string ending(std::string_view text, size_t most) {
  text = trim(text);
  if (text.size() > most) text.remove_prefix(text.size() - most);
  std::string line(text);
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

std::string content_of(const std::string& body) {
  try {
    const Json json = parse_json(body);
    const Json& message = json.at("choices").items().at(0).at("message");
    return message.at("content").as_string();
  } catch (const std::exception&) {
    return {};  // said as a failed smoke by the caller
  }
}

}  // namespace

std::string first_line(std::string_view text) {
  for (const std::string_view line : split(text, '\n')) {
    std::string_view words = trim(line);
    if (words.empty()) continue;
    size_t end = std::min<size_t>(words.size(), 200);
    while (end > 0 && end < words.size() && (static_cast<unsigned char>(words[end]) & 0xc0) == 0x80)
      --end;
    return std::string(words.substr(0, end));
  }
  return {};
}

std::optional<OllamaProgram> find_ollama(const OnCommand& on_command) {
  const auto path = find_program("ollama");
  if (!path) return std::nullopt;
  const ProcessResult result = run({path->string(), "--version"}, "/", 10, on_command);
  const auto version = version_in(result.out + "\n" + result.err);
  if (!version) {
    throw ExportFault("ollama", "ollama --version tells no version",
                      std::string("check the installation, ") + kSkipHint);
  }
  const std::string text = std::to_string((*version)[0]) + "." + std::to_string((*version)[1]) +
                           "." + std::to_string((*version)[2]);
  if (*version < kLeastOllama) {
    throw ExportFault("ollama", "ollama " + text + " is older than 0.4.2, which exports need",
                      std::string("update it, ") + kSkipHint);
  }
  return OllamaProgram{*path, text, *version < kOllamaWithoutAdapters};
}

void require_adapters(const OllamaProgram& ollama) {
  if (ollama.takes_adapters) return;
  throw ExportFault("ollama", "ollama " + ollama.version + " takes no adapter beside a GGUF file",
                    std::string("export with --merged, ") + kSkipHint);
}

void create_ollama_model(const OllamaProgram& ollama, const std::string& name,
                         const fs::path& folder, const OnCommand& on_command) {
  const ProcessResult result =
      run({ollama.path.string(), "create", name, "-f", "Modelfile"}, folder, 600, on_command);
  if (result.exit_code == 0) return;
  const std::string said = ending(result.err.empty() ? result.out : result.err, 1000);
  throw ExportFault(
      "ollama create", result.timed_out ? "ollama did not take the model within 600 s" : said,
      std::string("is `ollama serve` running? Start it and export again, ") + kSkipHint);
}

std::string create_proved_model(const OllamaProgram& ollama, const std::string& name,
                                const fs::path& folder, const OnCommand& on_command) {
  const std::string program = ollama.path.string();
  const std::string candidate = name + "-candidate";
  ProcessResult result, copied;
  std::string line;
  bool answers = false;
  {
    const Candidate removed(ollama, candidate, folder, on_command);
    create_ollama_model(ollama, candidate, folder, on_command);
    result = run({program, "run", candidate, kQuestion}, folder, 120, on_command);
    line = first_line(result.out);
    answers = result.exit_code == 0 && !line.empty();
    if (answers) copied = run({program, "cp", candidate, name}, folder, 60, on_command);
  }
  if (answers && copied.exit_code == 0) return line;
  if (answers) {
    throw ExportFault("ollama cp", ending(copied.err.empty() ? copied.out : copied.err, 1000),
                      std::string("export again, ") + kSkipHint);
  }
  throw ExportFault("smoke",
                    "the model in Ollama did not answer" +
                        (result.err.empty() ? std::string() : ": " + ending(result.err, 1000)),
                    "nothing was kept; export with --no-smoke to look at it yourself");
}

std::string smoke_server(std::vector<std::string> words, const fs::path& folder,
                         const OnCommand& on_command) {
  const int port = free_loopback_port();
  words.emplace_back("--port");
  words.push_back(std::to_string(port));
  const fs::path log =
      fs::temp_directory_path() / ("dlm-smoke-" + std::to_string(::getpid()) + ".log");
  if (on_command) on_command(words);
  std::string answer;
  std::string why = "did not become ready within 300 s";
  {
    ServerProcess server(words, folder, log);
    const int64_t end = system_clock().monotonic_ns() + int64_t{300} * 1'000'000'000;
    while (system_clock().monotonic_ns() < end) {
      check_interrupted();
      if (!server.is_running()) {
        why = "ended by itself";
        break;
      }
      const auto health = ask_loopback(port, "/health", "", 5);
      if (!health || health->status != 200) {
        ::usleep(100'000);
        continue;
      }
      const auto reply =
          ask_loopback(port, "/v1/chat/completions",
                       R"({"max_tokens":32,"messages":[{"role":"user","content":"Hello."}]})", 120);
      why = reply ? "answered with status " + std::to_string(reply->status) : "did not answer";
      if (reply && reply->status == 200) answer = first_line(content_of(reply->body));
      if (reply && reply->status == 200 && answer.empty()) why = "gave an empty answer";
      break;
    }
  }
  std::string said;
  if (path_exists(log)) said = ending(read_file(log), 1000);
  remove_path(log);
  if (!answer.empty()) return answer;
  throw ExportFault("smoke", words[0] + " " + why + (said.empty() ? "" : ": " + said),
                    "export with --no-smoke to look at it yourself");
}

}  // namespace dlm
