// Frames of the history against bytes that Python's cbor2 5.4.6 and zstandard 0.20 wrote, and
// against bytes that nobody should write.
#include "store/replay_snapshot.h"

#include <zstd.h>

#include "store_fixture.h"
#include "support/text.h"

namespace dlm {
namespace {

std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  }
  return bytes;
}

// cbor2.dumps({...}, canonical=True) of the snapshot below.
const std::string kCborOfPython = from_hex(
    "a767636f6e74656e746d4f7474657273207377696d2e0a6a6175746f5f6d696e6564f46a73656374696f6e5f696470"
    "383736656532306633353234333761326c6c6173745f7365656e5f6174c074323032362d30342d31385431303a3030"
    "3a30305a6c73656374696f6e5f747970656570726f73656d66697273745f7365656e5f6174c074323032362d30342d"
    "31385431303a30303a30305a72747261696e696e675f72756e735f7365656e8101");
// zstandard.ZstdCompressor(level=3).compress(...) of it.
const std::string kFrameOfPython = from_hex(
    "28b52ffd20ae25040022c81d2590b5e9ffff8fef72ee5ef4f7a24912da966d045a27b1653853e7af2632d27b216ee4"
    "4cff200186fe8cacd562a4a9d9b6771372e7b7d44f2d7a4a2cc342100d7228eb58d8620dd00df5676c6ed3c41a9328"
    "ac90408bfd0bd3504fa2be6ce72c053cd774f8ba6a9280e052c103de771f5ceb5b9f13350203005ab112c263e7eac"
    "e");

ReplaySnapshot otters() {
  ReplaySnapshot s;
  s.section_id = "876ee20f352437a2";
  s.section_type = "prose";
  s.content = "Otters swim.\n";
  s.first_seen_at = s.last_seen_at = 1'776'506'400;  // 2026-04-18T10:00:00Z
  s.training_runs_seen = {1};
  return s;
}

template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    return error.message();
  }
  return "no error";
}

std::string refusal_of_cbor(std::string cbor) {
  return refusal([&] { parse_snapshot(cbor); });
}

std::string compressed(std::string_view bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), 3));
  return frame;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos);
  return text.replace(at, from.size(), to);
}

TEST(ReplaySnapshot, IsWrittenAsPythonWritesIt) {
  EXPECT_EQ(snapshot_cbor(otters()), kCborOfPython);
}

TEST(ReplaySnapshot, ReadsAFrameOfPython) {
  EXPECT_EQ(decode_frame(kFrameOfPython), otters());
}

TEST(ReplaySnapshot, FramesSayTheirSizeAndHaveNeitherChecksumNorDictionary) {
  const std::string frame = encode_frame(otters());
  EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), kCborOfPython.size());
  EXPECT_EQ(frame[4] & 0b111, 0);  // frame header descriptor: checksum and dictionary flags
  EXPECT_EQ(decode_frame(frame), otters());
}

TEST(ReplaySnapshot, ReadsOlderFramesInAnyKeyOrder) {
  // cbor2.dumps of a map without auto_mined, in another order, with all widths of integers.
  const std::string cbor = from_hex(
                               "a66a73656374696f6e5f696470383736656532306633353234333761326c7365637"
                               "4696f6e5f74797065657072"
                               "6f736567636f6e74656e74790258") +
                           [] {
                             std::string text;
                             for (int i = 0; i < 300; ++i) text += "ö";
                             return text;
                           }() +
                           from_hex(
                               "6d66697273745f7365656e5f6174c074323032362d30342d31385431303a30303a3"
                               "0305a6c6c6173745f736565"
                               "6e5f6174c074323032362d30342d31385431303a30303a30305a72747261696e696"
                               "e675f72756e735f7365656e"
                               "8601181819012c1a000111701b000000012a05f20020");
  const ReplaySnapshot s = parse_snapshot(cbor);
  EXPECT_EQ(s.content.size(), 600u);
  EXPECT_FALSE(s.auto_mined);
  EXPECT_EQ(s.training_runs_seen, (std::vector<int64_t>{1, 24, 300, 70'000, 5'000'000'000, -1}));
  EXPECT_EQ(parse_snapshot(snapshot_cbor(s)), s);
}

TEST(ReplaySnapshot, EveryLengthOfContentComesBack) {
  for (const size_t size : {0u, 1u, 23u, 24u, 255u, 256u, 65'535u, 65'536u, 200'000u}) {
    ReplaySnapshot s = otters();
    s.content = std::string(size, 'x');
    s.auto_mined = true;
    EXPECT_EQ(decode_frame(encode_frame(s)), s) << size;
  }
}

TEST(ReplaySnapshot, EveryCutIsRefused) {
  for (size_t size = 0; size < kCborOfPython.size(); ++size) {
    EXPECT_NE(refusal_of_cbor(kCborOfPython.substr(0, size)), "no error") << size;
  }
  for (size_t size = 0; size < kFrameOfPython.size(); ++size) {
    EXPECT_NE(refusal([&] { decode_frame(kFrameOfPython.substr(0, size)); }), "no error") << size;
  }
}

TEST(ReplaySnapshot, SaysWhatIsWrongWithAMap) {
  EXPECT_EQ(refusal_of_cbor(""), "it ends too early");
  EXPECT_EQ(refusal_of_cbor("\x80"), "expected a map");
  EXPECT_EQ(refusal_of_cbor("\xBF\xFF"), "an item has no length");
  EXPECT_EQ(refusal_of_cbor(std::string("\xA0", 1)), "content: missing");
  EXPECT_EQ(refusal_of_cbor(kCborOfPython + "x"), "something follows the map");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "content", "contend")), "unknown key");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "section_id", "auto_mined")),
            "auto_mined: named twice");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "876ee", "876EE")),
            "section_id: expected 16 lower-case hex digits");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "prose", "image")),
            "section_type: expected prose, instruction or preference");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "2026-04-18", "2026-02-30")),
            "last_seen_at: expected a date and time");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "Otters", "Ott\xFFrs")),
            "content: a text is no UTF-8");
  EXPECT_EQ(refusal_of_cbor(replaced(kCborOfPython, "\xF4", "\xF6")),
            "auto_mined: expected true or false");
}

TEST(ReplaySnapshot, BelievesNoLengthBeyondTheBytes) {
  const std::string head = from_hex("a167636f6e74656e74");  // {"content":
  EXPECT_EQ(refusal_of_cbor(head + from_hex("7bffffffffffffffff")),
            "content: a text ends too early");
  EXPECT_EQ(refusal_of_cbor(from_hex("bbffffffffffffffff")), "a map ends too early");
  const std::string runs = from_hex("a172747261696e696e675f72756e735f7365656e");
  EXPECT_EQ(refusal_of_cbor(runs + from_hex("9b0000000100000000")),
            "training_runs_seen: an array ends too early");
  EXPECT_EQ(refusal_of_cbor(runs + from_hex("811bffffffffffffffff")),
            "training_runs_seen: an integer is too large");
}

TEST(ReplaySnapshot, RefusesAFrameThatClaimsTooMuchBeforeReadingIt) {
  // Magic, descriptor of an 8-byte size without a window, 2^40 bytes; then an empty last block.
  EXPECT_EQ(refusal([] { decode_frame(from_hex("28b52ffde00000000000010000010000")); }),
            "the zstd frame says that it holds 1099511627776 bytes, more than 68157440");
  // 100 MB of zeros in 10 kB.
  EXPECT_EQ(refusal([] { decode_frame(compressed(std::string(100'000'000, '\0'))); }),
            "the zstd frame says that it holds 100000000 bytes, more than 68157440");
}

TEST(ReplaySnapshot, RefusesWhatIsNotExactlyOneFrame) {
  EXPECT_EQ(refusal([] { decode_frame("no frame at all"); }), "it is no zstd frame");
  EXPECT_EQ(refusal([] { decode_frame(kFrameOfPython + kFrameOfPython); }),
            "it is not exactly one zstd frame");
  EXPECT_EQ(refusal([] { decode_frame(kFrameOfPython + "x"); }),
            "it is not exactly one zstd frame");
  EXPECT_EQ(refusal([] { decode_frame(compressed("\x80")); }), "expected a map");
  std::string damaged = kFrameOfPython;
  damaged[20] = static_cast<char>(damaged[20] ^ 0x55);
  EXPECT_NE(refusal([&] { decode_frame(damaged); }), "no error");
}

}  // namespace
}  // namespace dlm
