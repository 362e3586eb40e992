// Reading GGUF: every kind of value, and one exact message for each way to break a file; among
// them every attack on readers that has been published.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "formats/gguf.h"
#include "gguf_bytes.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

GgufFile parse(const std::string& bytes) {
  return GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf");
}

std::string fault(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_FALSE(error.hint().empty());
    EXPECT_EQ(error.place().path, "m.gguf");
    return error.message();
  }
  return "no error";
}

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    return error.message();
  }
  return "no error";
}

// A file of one key whose type and value follow its name.
std::string with_key(const std::string& type_and_value) {
  return header(0, 1) + text("k") + type_and_value;
}

// A file of one tensor with this record.
std::string with_tensor(const std::string& record) {
  return padded(header(1, 0) + record) + std::string(64, '\1');
}

TEST(GgufRead, ReadsTheWorkedExample) {
  const std::string bytes = worked_example();
  const GgufFile file = parse(bytes);
  EXPECT_EQ(bytes.size(), 160u);
  EXPECT_EQ(file.text("general.architecture"), "llama");
  ASSERT_EQ(file.tensors().size(), 1u);
  const GgufTensor* tensor = file.find_tensor("t");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->type, GgmlType::kF32);
  EXPECT_EQ(tensor->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(tensor->bytes.size(), 24u);
  EXPECT_EQ(tensor->bytes.data(), std::as_bytes(std::span(bytes)).data() + 128);
  EXPECT_EQ(file.find_tensor("u"), nullptr);
  EXPECT_EQ(file.find("general.name"), nullptr);
}

TEST(GgufRead, ReadsEveryTypeOfValue) {
  const GgufFile file =
      parse(header(0, 13) + text("u8") + u32(0) + raw<uint8_t>(200) + text("i8") + u32(1) +
            raw<int8_t>(-5) + text("u16") + u32(2) + raw<uint16_t>(65000) + text("i16") + u32(3) +
            raw<int16_t>(-300) + text("u32") + u32(4) + u32(4000000000) + text("i32") + u32(5) +
            raw<int32_t>(-7) + text("f32") + u32(6) + raw(1.5f) + text("bool") + u32(7) + "\1" +
            text_field("text", "né") + text("list") + u32(9) + u32(8) + u64(2) + text("a") +
            text("") + text("u64") + u32(10) + u64(1ull << 63) + text("i64") + u32(11) +
            raw<int64_t>(-9) + text("f64") + u32(12) + raw(0.25));
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i8"), -5);
  EXPECT_EQ(file.integer("u16"), 65000);
  EXPECT_EQ(file.integer("i16"), -300);
  EXPECT_EQ(file.integer("u32"), 4000000000);
  EXPECT_EQ(file.integer("i32"), -7);
  EXPECT_EQ(file.number("f32"), 1.5);
  EXPECT_TRUE(file.flag("bool", false));
  EXPECT_EQ(file.text("text"), "né");
  const auto& list = std::get<GgufArray>(*file.find("list"));
  EXPECT_EQ(std::get<std::vector<std::string>>(list), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(std::get<uint64_t>(*file.find("u64")), 1ull << 63);
  EXPECT_EQ(file.integer("i64"), -9);
  EXPECT_EQ(file.number("f64"), 0.25);
  EXPECT_EQ(file.number("i32"), -7.0);
}

TEST(GgufRead, TypedReadingNamesTheKey) {
  const GgufFile file = parse(with_key(u32(10) + u64(1ull << 63)));
  EXPECT_EQ(message_of([&] { file.integer("k"); }), "the key \"k\" is no whole number below 2^63");
  EXPECT_EQ(message_of([&] { file.text("k"); }), "the key \"k\" is no text");
  EXPECT_EQ(message_of([&] { file.flag("k", true); }), "the key \"k\" is neither true nor false");
  EXPECT_EQ(message_of([&] { file.number("n"); }), "the key \"n\" is missing");
  EXPECT_EQ(message_of([&] { file.number("k", 1.0); }), "the key \"k\" is no number");
  EXPECT_EQ(file.integer("n", 3), 3);
  EXPECT_EQ(file.text("n", "x"), "x");
  EXPECT_TRUE(file.flag("n", true));
}

TEST(GgufRead, ReadsVersion2AndRefusesOthers) {
  EXPECT_EQ(parse(header(0, 1, 2) + text_field("k", "v")).text("k"), "v");
  EXPECT_EQ(fault(header(0, 0, 1)), "the header, byte 0: version 1 is not known; 2 and 3 are");
  EXPECT_EQ(fault(header(0, 0, 4)), "the header, byte 0: version 4 is not known; 2 and 3 are");
  EXPECT_EQ(fault(header(0, 0, 0x03000000)), "the header, byte 0: the numbers are big-endian");
}

TEST(GgufRead, RefusesWhatIsNoGgufFile) {
  EXPECT_EQ(fault("GGML1234"), "is no GGUF file: it does not begin with \"GGUF\"");
  EXPECT_EQ(fault(""), "is no GGUF file: it does not begin with \"GGUF\"");
  EXPECT_EQ(fault("version https://git-lfs.github.com/spec/v1"),
            "a Git LFS pointer stands where a GGUF file should be");
}

TEST(GgufRead, RefusesCountsThatTheFileCannotHold) {
  const uint64_t huge = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(fault(header(huge, 0)),
            "the header, byte 0: asks for 9223372036854775807 tensors, "
            "more than the file has room for");
  EXPECT_EQ(fault(header(0, huge) + std::string(100, '\0')),
            "the header, byte 0: asks for 9223372036854775807 keys, more than the file has room "
            "for");
  EXPECT_EQ(fault(header(1ull << 63, 0)), "the header, byte 0: the number of tensors is negative");
  EXPECT_EQ(fault(header(0, ~0ull)), "the header, byte 0: the number of keys is negative");
}

TEST(GgufRead, RefusesTextsThatTheFileCannotHold) {
  EXPECT_EQ(fault(with_key(u32(8) + u64(~0ull) + "abc")),
            "key 1 of 1 (\"k\"), byte 24: its text has 18446744073709551615 bytes, only 3 are left "
            "in the file");
  EXPECT_EQ(fault(header(0, 1) + u64(65536) + std::string(70000, 'k')),
            "key 1 of 1, byte 24: its name has 65536 bytes, 65535 are possible");
  EXPECT_EQ(fault(header(0, 1) + u64(40000) + std::string(20, 'k')),
            "key 1 of 1, byte 24: its name has 40000 bytes, only 20 are left in the file");
  EXPECT_EQ(fault(header(0, 1) + u64(0) + u32(0) + std::string(20, '\0')),
            "key 1 of 1, byte 24: has no name");
  EXPECT_EQ(fault(header(0, 1) + text("\xff") + u32(0) + "\1"),
            "key 1 of 1, byte 24: its name is not UTF-8");
}

TEST(GgufRead, RefusesListsThatTheFileCannotHold) {
  // 2^61 elements of 8 bytes: the product wraps to 0.
  EXPECT_EQ(fault(with_key(u32(9) + u32(10) + u64(1ull << 61))),
            "key 1 of 1 (\"k\"), byte 24: is a list of 2305843009213693952, more than the file has "
            "room for");
  EXPECT_EQ(fault(with_key(u32(9) + u32(8) + u64(3) + text("a") + text("b"))),
            "key 1 of 1 (\"k\"), byte 24: is a list of 3, more than the file has room for");
  EXPECT_EQ(fault(with_key(u32(9) + u32(8) + u64(2) + text("a") + u64(9) + "b")),
            "key 1 of 1 (\"k\"), byte 24: a text in it has 9 bytes, only 1 are left in the file");
  EXPECT_EQ(fault(with_key(u32(9) + u32(9) + u64(1) + u32(0) + u64(0))),
            "key 1 of 1 (\"k\"), byte 24: is a list of lists, which programs do not read");
}

TEST(GgufRead, RefusesUnknownAndNegativeTypes) {
  EXPECT_EQ(fault(with_key(u32(13) + u64(0))),
            "key 1 of 1 (\"k\"), byte 24: its type 13 is not known");
  EXPECT_EQ(fault(with_key(raw<int32_t>(-1) + u64(0))),
            "key 1 of 1 (\"k\"), byte 24: its type -1 is not known");
  EXPECT_EQ(fault(with_key(u32(9) + raw<int32_t>(-2) + u64(0))),
            "key 1 of 1 (\"k\"), byte 24: its type -2 is not known");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {4}, 0, ~0u))),
            "tensor 1 of 1 (\"t\"), byte 24: its type -1 is not known");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {256}, 0, 10))),
            "tensor 1 of 1 (\"t\"), byte 24: has type Q2_K (10), which is not read here");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {256}, 0, 39))),
            "tensor 1 of 1 (\"t\"), byte 24: has type MXFP4 (39), which is not read here");
  EXPECT_EQ(fault(with_key(u32(7) + "\2")),
            "key 1 of 1 (\"k\"), byte 24: is neither true nor false but 2");
}

TEST(GgufRead, RefusesAlignmentsThatAreNoPowerOfTwo) {
  const auto aligned = [](const std::string& type_and_value) {
    return header(0, 1) + text("general.alignment") + type_and_value;
  };
  for (uint32_t wrong : {0u, 3u, 48u, ~0u}) {
    EXPECT_EQ(fault(aligned(u32(4) + u32(wrong))),
              "key 1 of 1 (\"general.alignment\"), byte 24: is " + std::to_string(wrong) +
                  ", which is no power of two");
  }
  EXPECT_EQ(fault(aligned(u32(10) + u64(32))),
            "key 1 of 1 (\"general.alignment\"), byte 24: is not of type uint32");
  EXPECT_EQ(fault(aligned(u32(8) + text("32"))),
            "key 1 of 1 (\"general.alignment\"), byte 24: is not of type uint32");
}

TEST(GgufRead, FollowsTheAlignmentOfTheFile) {
  const std::string head = header(2, 1) + text("general.alignment") + u32(4) + u32(8) +
                           tensor_record("a", {1}, 0) + tensor_record("b", {1}, 8);
  const std::string bytes = padded(head, 8) + padded(raw(1.0f), 8) + raw(2.0f);
  const GgufFile file = parse(bytes);
  EXPECT_EQ(std::memcmp(file.find_tensor("b")->bytes.data(), raw(2.0f).data(), 4), 0);
  // An alignment beyond the whole file leaves no data section.
  const std::string far = header(1, 1) + text("general.alignment") + u32(4) + u32(1u << 31) +
                          tensor_record("a", {1}, 0);
  EXPECT_EQ(fault(far + std::string(64, '\0')),
            "has 154 bytes; the data of tensor \"a\" would lie in bytes 0 to 4 of the 0 bytes "
            "behind the header");
}

TEST(GgufRead, RefusesNamesThatStandTwice) {
  EXPECT_EQ(fault(header(0, 2) + text_field("k", "v") + text_field("k", "w")),
            "key 2 of 2 (\"k\"), byte 46: stands twice in the file");
  EXPECT_EQ(fault(padded(header(2, 0) + tensor_record("t", {1}, 0) + tensor_record("t", {1}, 32)) +
                  std::string(64, '\0')),
            "tensor 2 of 2 (\"t\"), byte 57: stands twice in the file");
}

TEST(GgufRead, RefusesImpossibleShapes) {
  const std::string where = "tensor 1 of 1 (\"t\"), byte 24: ";
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {1, 1, 1, 1, 1}, 0))),
            where + "has 5 dimensions; 1 to 4 are possible");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {}, 0))),
            where + "has 0 dimensions; 1 to 4 are possible");
  EXPECT_EQ(fault(with_tensor(text("t") + u32(~0u) + std::string(64, '\0'))),
            where + "has 4294967295 dimensions; 1 to 4 are possible");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {1ull << 63}, 0))),
            where + "has a negative dimension");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {1ull << 32, 1ull << 32}, 0))),
            where + "its shape is too large");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {1ull << 32, 1ull << 31}, 0))),
            where + "its shape is too large");
  // The product of the rows alone wraps, though the tensor is empty.
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {0, 1ull << 32, 1ull << 32}, 0))),
            where + "its shape is too large");
  // 2^62 elements of 4 bytes wrap to 0 bytes.
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {1ull << 62}, 0))),
            where + "its shape is too large");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {(1ull << 61) + 4}, 0, 0))),
            "has 128 bytes; the data of tensor \"t\" would lie in bytes 0 to 9223372036854775824 "
            "of the 64 bytes behind the header");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {33}, 0, 8))),
            where + "has rows of 33 elements, Q8_0 takes multiples of 32");
  EXPECT_EQ(fault(with_tensor(tensor_record(std::string(64, 't'), {1}, 0))),
            "tensor 1 of 1, byte 24: its name has 64 bytes, 63 are possible");
}

TEST(GgufRead, RefusesOffsetsThatDoNotFollowOneAnother) {
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {4}, 32))),
            "tensor 1 of 1 (\"t\"), byte 24: its data begins at 32, that of the tensors before it "
            "ends at 0");
  EXPECT_EQ(fault(with_tensor(tensor_record("t", {4}, ~0ull - 15))),
            "tensor 1 of 1 (\"t\"), byte 24: its data begins at 18446744073709551600, that of the "
            "tensors before it ends at 0");
  const auto two = [](uint64_t offset) {
    return padded(header(2, 0) + tensor_record("a", {4}, 0) + tensor_record("b", {4}, offset)) +
           std::string(96, '\1');
  };
  EXPECT_EQ(parse(two(32)).tensors().size(), 2u);
  for (uint64_t wrong : {0, 16, 64}) {
    EXPECT_EQ(fault(two(wrong)), "tensor 2 of 2 (\"b\"), byte 57: its data begins at " +
                                     std::to_string(wrong) +
                                     ", that of the tensors before it ends at 32");
  }
}

TEST(GgufRead, RefusesEveryTruncation) {
  const std::string whole = worked_example();
  // Only the padding behind the last tensor may be missing.
  for (size_t size = 0; size < 152; ++size) {
    EXPECT_NE(fault(whole.substr(0, size)), "no error") << size;
  }
  EXPECT_EQ(fault(whole.substr(0, 151)),
            "has 151 bytes; the data of tensor \"t\" would lie in bytes 0 to 24 of the 23 bytes "
            "behind the header");
  EXPECT_EQ(fault(whole.substr(0, 14)),
            "the header, byte 0: the file ends in the number of tensors");
  EXPECT_EQ(parse(whole.substr(0, 152)).tensors().size(), 1u);
}

TEST(GgufRead, KeepsTheMappedFile) {
  const TemporaryFolder folder;
  write_file_atomic(folder.path() / "m.gguf", worked_example());
  const GgufFile file = GgufFile::open(folder.path() / "m.gguf");
  ASSERT_NE(file.file(), nullptr);
  EXPECT_EQ(file.file()->bytes().size(), 160u);
  EXPECT_EQ(file.path(), folder.path() / "m.gguf");
  EXPECT_THROW(GgufFile::open(folder.path() / "n.gguf"), Error);
}

}  // namespace
}  // namespace dlm
