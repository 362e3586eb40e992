// The byte alphabet, and UTF-8 repair for byte sequences that a model may leave unfinished.
#include "text/byte_alphabet.h"

#include "support/text.h"

namespace dlm {

namespace {

constexpr uint32_t kReplacement = 0xFFFD;

bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Code point -> byte, -1 where no byte has it. 0x143 is the last one in use: 0x100 + 67 moved
// bytes.
const std::array<int16_t, 0x144>& code_point_to_byte() {
  static const std::array<int16_t, 0x144> table = [] {
    std::array<int16_t, 0x144> built{};
    built.fill(-1);
    for (int byte = 0; byte < 256; ++byte) {
      built[byte_to_code_point()[static_cast<size_t>(byte)]] = static_cast<int16_t>(byte);
    }
    return built;
  }();
  return table;
}

struct Sequence {
  size_t length;     // bytes that belong together, at least 1
  bool well_formed;  // a whole character
  bool unfinished;   // ill-formed only because the text ends
};

// The character or the maximal ill-formed part that begins at `at` (Unicode 15, table 3-7).
Sequence read_sequence(std::string_view bytes, size_t at) {
  const auto byte_at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte_at(at);
  if (lead < 0x80) return {1, true, false};
  size_t wanted = 0;
  unsigned char low = 0x80, high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) wanted = 2;
  if (lead >= 0xE0 && lead <= 0xEF) {
    wanted = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    wanted = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  if (wanted == 0) return {1, false, false};
  for (size_t i = 1; i < wanted; ++i) {
    if (at + i == bytes.size()) return {i, false, true};
    const unsigned char next = byte_at(at + i);
    if (next < low || next > high) return {i, false, false};
    low = 0x80;
    high = 0xBF;
  }
  return {wanted, true, false};
}

}  // namespace

const std::array<uint32_t, 256>& byte_to_code_point() {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> built{};
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      built[byte] = stands_for_itself(byte) ? byte : next++;
    }
    return built;
  }();
  return table;
}

const std::array<std::string, 256>& byte_to_character() {
  static const std::array<std::string, 256> table = [] {
    std::array<std::string, 256> built;
    for (size_t byte = 0; byte < 256; ++byte) append_utf8(built[byte], byte_to_code_point()[byte]);
    return built;
  }();
  return table;
}

std::string to_byte_characters(std::string_view bytes) {
  const auto& characters = byte_to_character();
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char byte : bytes) out += characters[static_cast<unsigned char>(byte)];
  return out;
}

void append_bytes_of(std::string_view token, std::string& out) {
  const size_t before = out.size();
  const auto& table = code_point_to_byte();
  for (size_t i = 0; i < token.size();) {
    // The alphabet lies below U+0800, so one or two bytes decide.
    const auto lead = static_cast<unsigned char>(token[i]);
    uint32_t code_point = lead;
    size_t length = 1;
    if ((lead & 0xE0) == 0xC0 && i + 1 < token.size()) {
      code_point = (lead & 0x1Fu) << 6 | (static_cast<unsigned char>(token[i + 1]) & 0x3Fu);
      length = 2;
    } else if (lead >= 0x80) {
      code_point = kReplacement;
    }
    if (code_point >= table.size() || table[code_point] < 0) {
      out.resize(before);
      out += token;
      return;
    }
    out += static_cast<char>(table[code_point]);
    i += length;
  }
}

std::string to_valid_utf8(std::string_view bytes) {
  if (!find_utf8_fault(bytes)) return std::string(bytes);
  std::string out;
  out.reserve(bytes.size() + 8);
  for (size_t i = 0; i < bytes.size();) {
    const Sequence sequence = read_sequence(bytes, i);
    if (sequence.well_formed) {
      out += bytes.substr(i, sequence.length);
    } else {
      append_utf8(out, kReplacement);
    }
    i += sequence.length;
  }
  return out;
}

size_t incomplete_utf8_tail(std::string_view bytes) {
  // A lead byte can lie at most 3 bytes before the end.
  const size_t first = bytes.size() > 3 ? bytes.size() - 3 : 0;
  for (size_t i = bytes.size(); i-- > first;) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if ((byte & 0xC0) == 0x80) continue;
    const Sequence sequence = read_sequence(bytes, i);
    return sequence.unfinished ? sequence.length : 0;
  }
  return 0;
}

}  // namespace dlm
