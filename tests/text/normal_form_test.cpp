// NFC piece by piece against utf8proc on the whole text.
#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>

#include "support/json.h"
#include "support/text.h"
#include "text/normalizer.h"

namespace dlm {
namespace {

std::string nfc_of_whole(const std::string& text) {
  utf8proc_uint8_t* result = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  EXPECT_GE(length, 0);
  const std::string whole(reinterpret_cast<const char*>(result), static_cast<size_t>(length));
  std::free(result);
  return whole;
}

const Normalizer& nfc() {
  static const Normalizer normalizer = Normalizer::from_json(parse_json(R"({"type": "NFC"})"));
  return normalizer;
}

TEST(Nfc, ComposesWhatStandsApart) {
  EXPECT_EQ(nfc().apply("“re\u0301sume\u0301” a\u0323\u0302 \u1112\u1161\u11AB \u212B ok"),
            "“résumé” ậ 한 Å ok");
}

// Behind characters that compose with much: every code point must be treated as utf8proc does.
TEST(Nfc, IsThatOfTheWholeTextForEveryCodePoint) {
  for (uint32_t c = 1; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "a\u0323";
    append_utf8(text, c);
    text += "\u0301\uAC00";
    append_utf8(text, c);
    text += "\u1100";
    append_utf8(text, c);
    text += "x";
    append_utf8(text, c);
    ASSERT_EQ(nfc().apply(text), nfc_of_whole(text)) << "U+" << std::hex << c;
  }
}

TEST(Nfc, IsThatOfTheWholeTextForRandomTexts) {
  uint64_t state = 3;
  const auto random = [&](uint32_t below) {  // a linear congruential generator (Knuth's MMIX)
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state >> 33) % below);
  };
  constexpr uint32_t kBlocks[] = {0x40,   0xC0,   0x300,  0x400,  0x900,  0x1100, 0x1160, 0x11A0,
                                  0x2000, 0x2120, 0x3040, 0x3080, 0xAC00, 0xFB00, 0x110A0};
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (uint32_t length = random(24); length > 0; --length) {
      append_utf8(text, kBlocks[random(std::size(kBlocks))] + random(64));
    }
    ASSERT_EQ(nfc().apply(text), nfc_of_whole(text)) << text;
  }
}

}  // namespace
}  // namespace dlm
