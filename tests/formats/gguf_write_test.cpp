// Writing GGUF: the specification's example byte for byte, what is written read back, and nothing
// under the file's name before it is complete.
#include <cstring>

#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "gguf_bytes.h"
#include "support/error.h"
#include "support/hash.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

template <class Call>
std::string fault(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    return error.message();
  }
  return "no error";
}

size_t num_entries(const fs::path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(GgufWrite, WritesTheWorkedExampleByteForByte) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  GgufWriter writer(path, {{"general.architecture", "llama"}}, {{"t", GgmlType::kF32, {2, 3}}});
  EXPECT_EQ(writer.file_bytes(), 160u);
  const std::string data = worked_example().substr(128, 24);
  writer.append(bytes_of(data.substr(0, 5)));
  writer.append(bytes_of(data.substr(5)));
  const std::string hash = writer.finish();
  EXPECT_EQ(read_file(path), worked_example());
  EXPECT_EQ(hash, "aea77f1c82e2d827822ac2e3befd9f8b08f39566275ae2e69380d5b0e96e1a13");
}

TEST(GgufWrite, ReadsBackWhatItWrote) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  const std::vector<GgufField> fields = {
      {"text", "né"},
      {"u8", uint8_t{200}},
      {"i8", int8_t{-5}},
      {"u16", uint16_t{65000}},
      {"i16", int16_t{-300}},
      {"u32", uint32_t{4000000000}},
      {"i32", int32_t{-7}},
      {"u64", uint64_t{1} << 63},
      {"i64", int64_t{-9}},
      {"f32", 1.5f},
      {"f64", 0.25},
      {"bool", true},
      {"texts", GgufArray(std::vector<std::string>{"a", "", "bc"})},
      {"floats", GgufArray(std::vector<float>{1.0f, -2.0f})},
      {"ints", GgufArray(std::vector<int32_t>{-1, 3})},
      {"bools", GgufArray(std::vector<bool>{true, false, true})}};
  GgufWriter writer(path, fields,
                    {{"a", GgmlType::kF16, {5}},
                     {"empty", GgmlType::kF32, {0, 7}},
                     {"q", GgmlType::kQ8_0, {2, 2, 32}}});
  const std::string data = std::string(10, 'a') + std::string(4 * 34, 'q');
  writer.append(bytes_of(data));  // across the border of two tensors
  const std::string hash = writer.finish();
  EXPECT_EQ(hash, sha256_file_hex(path));
  EXPECT_EQ(writer.file_bytes(), fs::file_size(path));

  const GgufFile file = GgufFile::open(path);
  ASSERT_EQ(file.fields().size(), fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(file.fields()[i].key, fields[i].key);
    EXPECT_EQ(file.fields()[i].value, fields[i].value) << fields[i].key;
  }
  EXPECT_EQ(file.find_tensor("a")->bytes.size(), 10u);
  EXPECT_EQ(file.find_tensor("empty")->bytes.size(), 0u);
  const GgufTensor& quantized = *file.find_tensor("q");
  EXPECT_EQ(quantized.shape, (std::vector<int64_t>{2, 2, 32}));
  EXPECT_EQ(std::memcmp(quantized.bytes.data(), data.data() + 10, 4 * 34), 0);
}

TEST(GgufWrite, LeavesOutEmptyTextsAndLists) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  GgufWriter writer(path, {{"a", ""}, {"b", GgufArray(std::vector<float>{})}, {"c", "x"}}, {});
  writer.finish();
  const GgufFile file = GgufFile::open(path);
  ASSERT_EQ(file.fields().size(), 1u);
  EXPECT_EQ(file.fields()[0].key, "c");
}

TEST(GgufWrite, LeavesNothingWithoutFinish) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  {
    GgufWriter writer(path, {}, {{"t", GgmlType::kF32, {4}}});
    writer.append(bytes_of(std::string(8, 'x')));
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_EQ(num_entries(folder.path()), 0u);
  {
    GgufWriter writer(path, {}, {{"t", GgmlType::kF32, {4}}});
    writer.append(bytes_of(std::string(8, 'x')));
    EXPECT_EQ(fault([&] { writer.finish(); }), "data of a GGUF tensor to write is missing");
  }
  EXPECT_EQ(num_entries(folder.path()), 0u);
}

TEST(GgufWrite, RefusesWhatTheFormatForbids) {
  const TemporaryFolder folder;
  const auto with = [&](std::vector<GgufField> fields, std::vector<GgufWriter::TensorInfo> tensors,
                        const std::string& data = "") {
    return fault([&] {
      GgufWriter writer(folder.path() / "m.gguf", fields, tensors);
      writer.append(bytes_of(data));
      writer.finish();
    });
  };
  const std::string key = "a GGUF key to write is empty, too long, reserved or there twice";
  EXPECT_EQ(with({{"k", 1u}, {"k", 2u}}, {}), key);
  EXPECT_EQ(with({{std::string(65536, 'k'), 1u}}, {}), key);
  EXPECT_EQ(with({{"general.alignment", 64u}}, {}), key);
  const std::string name = "a GGUF tensor to write has no name, one that is too long, or another's";
  EXPECT_EQ(with({}, {{"t", GgmlType::kF32, {0}}, {"t", GgmlType::kF32, {0}}}), name);
  EXPECT_EQ(with({}, {{std::string(64, 't'), GgmlType::kF32, {0}}}), name);
  EXPECT_EQ(with({}, {{"t", GgmlType::kQ4_K, {128}}}),
            "a GGUF tensor to write has rows of no whole number of blocks");
  EXPECT_EQ(with({}, {{"t", GgmlType::kF32, {1, 1, 1, 1, 1}}}),
            "a GGUF tensor to write has an impossible number of dimensions");
  EXPECT_EQ(with({}, {{"t", GgmlType::kF32, {int64_t{1} << 40, int64_t{1} << 40}}}),
            "a GGUF tensor to write has an impossible shape");
  EXPECT_EQ(with({}, {{"t", GgmlType::kF32, {1}}}, "12345"),
            "more data than the GGUF tensors to write have");
  EXPECT_EQ(num_entries(folder.path()), 0u);
}

}  // namespace
}  // namespace dlm
