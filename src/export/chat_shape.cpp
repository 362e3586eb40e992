#include "export/chat_shape.h"

#include <algorithm>

#include "support/error.h"

namespace dlm {

namespace {

// Contents that no template treats specially, in the order of the messages.
constexpr const char* kProbes[] = {"q7dlmA", "q7dlmB", "q7dlmC", "q7dlmD"};

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::kExport, "the base's chat template " + what,
              "export with --no-template; programs that read the template in the file itself still "
              "have it");
}

// What stands before, between and behind the contents.
struct Pieces {
  std::vector<size_t> order;  // message of each content found
  std::vector<std::string> between;
};

std::optional<Pieces> probe(const ChatTemplate& chat, const std::vector<std::string>& roles,
                            bool add_generation_prompt, bool first_is_empty = false) {
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < roles.size(); ++i) {
    messages.push_back({roles[i], i == 0 && first_is_empty ? "" : kProbes[i]});
  }
  std::string text;
  try {
    text = chat.render(messages_json(messages), add_generation_prompt);
  } catch (const Error&) {
    return std::nullopt;  // the template refuses this order of roles
  }
  Pieces pieces;
  size_t done = 0;
  while (true) {
    size_t at = text.npos;
    size_t message = 0;
    for (size_t i = 0; i < roles.size(); ++i) {
      const size_t found = text.find(kProbes[i], done);
      if (found < at) {
        at = found;
        message = i;
      }
    }
    pieces.between.push_back(text.substr(done, at == text.npos ? at : at - done));
    if (at == text.npos) return pieces;
    pieces.order.push_back(message);
    done = at + std::string_view(kProbes[message]).size();
  }
}

std::string common_prefix(const std::string& a, const std::string& b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return std::string(a.begin(), end);
}
std::string common_suffix(const std::string& a, const std::string& b) {
  const auto end = std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first;
  return std::string(end.base(), a.end());
}

// Without the beginning of a control token that is cut in the middle.
std::string whole_tokens(std::string text) {
  const size_t open = text.find_last_of("<[");
  if (open != text.npos && text.find_first_of(">]", open) == text.npos) text.resize(open);
  return text;
}

std::string without_prefix(const std::string& text, const std::string& prefix) {
  return text.substr(prefix.size());
}
std::string without_suffix(const std::string& text, const std::string& suffix) {
  return text.substr(0, text.size() - suffix.size());
}

using Order = std::vector<size_t>;

class Finder {
 public:
  Finder(const ChatTemplate& chat, const std::string& bos) : chat_(chat), bos_(bos) {}

  ChatShape find() {
    turns();
    system();
    return std::move(shape_);
  }

 private:
  void turns() {
    const auto u = probe(chat_, {"user"}, true);
    const auto uau = probe(chat_, {"user", "assistant", "user"}, true);
    if (!u || u->order != Order{0} || !uau || uau->order != Order{0, 1, 2}) {
      refuse("does not write plain conversations of user and assistant");
    }
    before_user_ = u->between[0];
    const std::string& to_answer = u->between[1];
    if (uau->between[0] != before_user_ || uau->between[3] != to_answer) {
      refuse("writes a turn differently by its place");
    }
    // What the generation prompt adds to a user's turn.
    const auto bare = probe(chat_, {"user"}, false);
    shape_.user.after = to_answer;
    if (bare && bare->order == Order{0} && !to_answer.starts_with(bare->between[1])) {
      shape_.user.after = whole_tokens(common_prefix(to_answer, bare->between[1]));
    } else if (bare && bare->order == Order{0}) {
      shape_.user.after = bare->between[1];
    }
    if (!uau->between[1].starts_with(shape_.user.after)) {
      shape_.user.after = whole_tokens(common_prefix(uau->between[1], to_answer));
    }
    shape_.generation = without_prefix(to_answer, shape_.user.after);
    shape_.assistant.before = without_prefix(uau->between[1], shape_.user.after);
    shape_.last_assistant = last_assistant();

    const std::string& to_user = uau->between[2];
    const std::string& ended = shape_.last_assistant.after;
    if (to_user.starts_with(ended) && before_user_.ends_with(without_prefix(to_user, ended))) {
      shape_.user.before = without_prefix(to_user, ended);
    } else {
      shape_.user.before = common_suffix(to_user, before_user_);
      // BOS belongs to the beginning of the text.
      const std::string& before = shape_.user.before;
      if (!bos_.empty() && before.starts_with(bos_) && before == before_user_) {
        shape_.user.before = without_prefix(before, bos_);
      }
    }
    shape_.assistant.after = without_suffix(to_user, shape_.user.before);
    if (!last_is_known_) shape_.last_assistant.after = shape_.assistant.after;
  }

  ChatShape::Turn last_assistant() {
    const auto ua = probe(chat_, {"user", "assistant"}, true);
    last_is_known_ = ua && ua->order == Order{0, 1} && ua->between[0] == before_user_ &&
                     ua->between[1].starts_with(shape_.user.after) &&
                     ua->between[2].ends_with(shape_.generation);
    if (!last_is_known_) return {shape_.assistant.before, ""};
    return {without_prefix(ua->between[1], shape_.user.after),
            without_suffix(ua->between[2], shape_.generation)};
  }

  void system() {
    const std::string prelude = without_suffix(before_user_, shape_.user.before);
    const auto su = probe(chat_, {"system", "user"}, true);
    const auto long_chat = probe(chat_, {"system", "user", "assistant", "user"}, true);
    if (su && su->order == Order{0, 1} && long_chat && long_chat->order == Order{0, 1, 2, 3}) {
      system_turn(prelude, *su);
      return;
    }
    shape_.begin = prelude;
    if (su && su->order == Order{0, 1} && long_chat && long_chat->order == Order{1, 2, 0, 3} &&
        long_chat->between[2].starts_with(shape_.assistant.after + shape_.user.before)) {
      shape_.system_place = ChatShape::System::kLastUser;
      shape_.system = {
          without_prefix(long_chat->between[2], shape_.assistant.after + shape_.user.before),
          long_chat->between[3]};
    } else if (su && su->order == Order{1}) {
      shape_.system_place = ChatShape::System::kIgnored;
    } else {
      shape_.system_place = ChatShape::System::kFolded;
      shape_.system.after = "\n\n";
    }
  }

  void system_turn(const std::string& prelude, const Pieces& su) {
    const std::string& to_system = su.between[0];
    const std::string& to_user = su.between[1];
    // A BOS that also opens every turn is part of the turns.
    if (!bos_.empty() && prelude.starts_with(bos_) && to_system.starts_with(bos_) &&
        !shape_.user.before.starts_with(bos_)) {
      shape_.begin = bos_;
    }
    shape_.no_system = without_prefix(prelude, shape_.begin);
    shape_.system.before = without_prefix(to_system, shape_.begin);
    shape_.system_opens_user = !to_user.ends_with(shape_.user.before);
    const std::string opening = shape_.system_opens_user ? "" : shape_.user.before;
    shape_.system.after = without_suffix(to_user, opening);

    const auto empty = probe(chat_, {"system", "user"}, true, true);
    if (empty && empty->order == Order{1}) {
      const std::string& text = empty->between[0];
      const bool fits = text.size() >= shape_.begin.size() + opening.size() &&
                        text.starts_with(shape_.begin) && text.ends_with(opening);
      if (fits && text != to_system + to_user) {
        shape_.empty_system = without_suffix(without_prefix(text, shape_.begin), opening);
      }
    }
    const auto later = probe(chat_, {"user", "assistant", "system", "user"}, true);
    if (later && later->order == Order{0, 1, 2, 3} &&
        later->between[2].starts_with(shape_.assistant.after) &&
        later->between[3].ends_with(shape_.user.before)) {
      shape_.later_system = {without_prefix(later->between[2], shape_.assistant.after),
                             without_suffix(later->between[3], shape_.user.before)};
    }
  }

  const ChatTemplate& chat_;
  const std::string& bos_;
  std::string before_user_;
  bool last_is_known_ = false;
  ChatShape shape_;
};

}  // namespace

ChatShape find_chat_shape(const ChatTemplate& chat, const std::string& bos) {
  return Finder(chat, bos).find();
}

std::vector<ChatMessage> reference_messages(const ChatShape& shape,
                                            const std::vector<ChatMessage>& messages) {
  std::vector<ChatMessage> merged = collate_messages(messages);
  if (shape.system_place != ChatShape::System::kFolded) return merged;
  if (merged.size() < 2 || merged[0].role != "system" || merged[1].role != "user") return merged;
  if (!merged[0].content.empty()) {
    merged[1].content =
        shape.system.before + merged[0].content + shape.system.after + merged[1].content;
  }
  merged.erase(merged.begin());
  return merged;
}

Json messages_json(const std::vector<ChatMessage>& messages) {
  Json json = Json::array();
  for (const ChatMessage& m : messages) {
    json.push_back(Json::object({{"role", Json(m.role)}, {"content", Json(m.content)}}));
  }
  return json;
}

std::string chat_dialect(const ChatShape& shape) {
  const std::string& user = shape.user.before;
  const std::string& after = shape.user.after;
  if (user.starts_with("<|im_start|>")) {
    if (shape.no_system.find("## Metadata") != std::string::npos) return "smollm3";
    return shape.last_assistant.before.find("<think>") != std::string::npos ? "qwen3thinking"
                                                                            : "chatml";
  }
  if (user.starts_with("<start_of_turn>")) return "gemma2";
  if (user.starts_with("<|start_header_id|>")) return "llama3";
  if (user.find("[INST]") != std::string::npos) return "mistral";
  if (user == "<|user|>\n") return after.starts_with("<|end|>") ? "phi3" : "olmo2";
  if (user == "<|user|>" && after.starts_with("<|end|>")) return "phi4mini";
  if (user == "User: ") return "plain";
  return "derived";
}

}  // namespace dlm
