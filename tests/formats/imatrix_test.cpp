// Importance matrices in both published forms: bytes as the format's tools write them, and one
// message for each way to break a file.
#include "formats/imatrix.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "formats/gguf_bytes.h"
#include "support/error.h"
#include "support/hash.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

Imatrix two_weights() {
  Imatrix imatrix;
  imatrix.dataset = "notes";
  imatrix.chunk_count = 3;
  imatrix.entries["blk.0.attn_q.weight"] = {4, {8, 4, 2, 0}, {2}};
  imatrix.entries["blk.0.ffn_up_exps.weight"] = {2, {1, 2, 30, 40, 5, 6}, {1, 10, 0}};
  return imatrix;
}

std::string i32(int32_t value) {
  return raw(value);
}
std::string dat_text(const std::string& value) {
  return i32(static_cast<int32_t>(value.size())) + value;
}
std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float value : values) out += raw(value);
  return out;
}

Imatrix parse(const std::string& bytes) {
  return parse_imatrix(std::as_bytes(std::span(bytes)), "i.dat");
}

std::string fault(const std::string& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
  return "no error";
}

TEST(Imatrix, ImportanceIsTheMeanAndOneWhereNothingWasCounted) {
  const Imatrix imatrix = two_weights();
  EXPECT_EQ(imatrix.importance("blk.0.attn_q.weight"), (std::vector<float>{4, 2, 1, 0}));
  EXPECT_EQ(imatrix.importance("blk.0.ffn_up_exps.weight"), (std::vector<float>{1, 2, 3, 4, 1, 1}));
  EXPECT_TRUE(imatrix.importance("output.weight").empty());
}

TEST(Imatrix, TheGgufFormReadsBackWhole) {
  TemporaryFolder folder;
  const Imatrix written = two_weights();
  write_imatrix_gguf(folder.path() / "imatrix.gguf", written);
  const Imatrix read = read_imatrix(folder.path() / "imatrix.gguf");
  EXPECT_EQ(read.entries, written.entries);
  EXPECT_EQ(read.dataset, "notes");
  EXPECT_EQ(read.chunk_count, 3);
  EXPECT_EQ(read.chunk_size, 512);
}

TEST(Imatrix, TheGgufFormHasTheKeysAndTensorsThatOtherProgramsAskFor) {
  TemporaryFolder folder;
  write_imatrix_gguf(folder.path() / "imatrix.gguf", two_weights());
  const GgufFile file = GgufFile::open(folder.path() / "imatrix.gguf");
  EXPECT_EQ(file.text("general.type"), "imatrix");
  EXPECT_EQ(std::get<uint32_t>(*file.find("imatrix.chunk_count")), 3U);
  EXPECT_EQ(std::get<uint32_t>(*file.find("imatrix.chunk_size")), 512U);
  ASSERT_EQ(file.tensors().size(), 4U);
  EXPECT_EQ(file.tensors()[0].name, "blk.0.attn_q.weight.in_sum2");
  EXPECT_EQ(file.tensors()[0].shape, (std::vector<int64_t>{4}));
  EXPECT_EQ(file.tensors()[1].name, "blk.0.attn_q.weight.counts");
  EXPECT_EQ(file.tensors()[1].shape, (std::vector<int64_t>{1}));
  EXPECT_EQ(file.tensors()[2].shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(file.tensors()[3].shape, (std::vector<int64_t>{3, 1}));
}

TEST(Imatrix, TheDatFormIsTheseBytes) {
  TemporaryFolder folder;
  Imatrix imatrix = two_weights();
  imatrix.entries["blk.0.attn_q.weight"].counts = {1024};  // two chunks
  write_imatrix_dat(folder.path() / "imatrix.dat", imatrix);
  const std::string expected = i32(2) + dat_text("blk.0.attn_q.weight") + i32(2) + i32(4) +
                               floats({8.0f / 1024 * 2, 4.0f / 1024 * 2, 2.0f / 1024 * 2, 0}) +
                               dat_text("blk.0.ffn_up_exps.weight") + i32(1) + i32(6) +
                               floats({1, 2, 3, 4, 1, 1}) + i32(3) + dat_text("notes");
  EXPECT_EQ(read_file(folder.path() / "imatrix.dat"), expected);
}

TEST(Imatrix, TheDatFormGivesTheSameImportance) {
  TemporaryFolder folder;
  const Imatrix written = two_weights();
  write_imatrix_dat(folder.path() / "imatrix.dat", written);
  const Imatrix read = read_imatrix(folder.path() / "imatrix.dat");
  for (const auto& [weight, entry] : written.entries) {
    EXPECT_EQ(read.importance(weight), written.importance(weight));
  }
  EXPECT_EQ(read.dataset, "notes");
  EXPECT_EQ(read.chunk_count, 3);
}

TEST(Imatrix, DatFilesWithoutATailAreRead) {
  const Imatrix imatrix = parse(i32(1) + dat_text("w") + i32(0) + i32(2) + floats({3, 5}));
  EXPECT_EQ(imatrix.importance("w"), (std::vector<float>{3, 5}));
}

TEST(Imatrix, SameEntriesGiveTheSameBytes) {
  TemporaryFolder folder;
  for (const char* name : {"a", "b"}) {
    write_imatrix_gguf(folder.path() / (name + std::string(".gguf")), two_weights());
  }
  EXPECT_EQ(sha256_file_hex(folder.path() / "a.gguf"), sha256_file_hex(folder.path() / "b.gguf"));
}

TEST(Imatrix, RefusesDatFilesThatPromiseMoreThanTheyHold) {
  EXPECT_EQ(fault(""), "i.dat: importance matrix: at byte 0: ends within the number of entries");
  EXPECT_EQ(fault(i32(0)), "i.dat: importance matrix: it holds no sums");
  EXPECT_EQ(fault(i32(-1)),
            "i.dat: importance matrix: at byte 4: the number of entries is -1, which the file "
            "cannot hold");
  EXPECT_EQ(fault(i32(2147483647) + std::string(64, 'x')),
            "i.dat: importance matrix: at byte 4: the number of entries is 2147483647, which the "
            "file cannot hold");
  const std::string one = i32(1);
  const std::string room(64, '\0');
  EXPECT_EQ(fault(one + i32(2000000000) + room),
            "i.dat: importance matrix: at byte 8: the length of a name is 2000000000, which the "
            "file cannot hold");
  EXPECT_EQ(fault(one + dat_text("") + room),
            "i.dat: importance matrix: at byte 8: an entry has no name");
  EXPECT_EQ(fault(one + dat_text("w") + i32(-3) + room),
            "i.dat: importance matrix: at byte 13: \"w\" has a negative number of chunks");
  EXPECT_EQ(fault(one + dat_text("w") + i32(1) + i32(1 << 30) + room),
            "i.dat: importance matrix: at byte 17: the number of values is 1073741824, which the "
            "file cannot hold");
  EXPECT_EQ(fault(one + dat_text("w") + i32(1) + i32(0) + room),
            "i.dat: importance matrix: at byte 17: \"w\" has no values");
  const std::string entry = dat_text("w") + i32(1) + i32(1) + floats({1});
  EXPECT_EQ(fault(i32(2) + entry + entry),
            "i.dat: importance matrix: at byte 38: \"w\" is there twice");
  EXPECT_EQ(fault(one + entry + i32(3) + i32(99)),
            "i.dat: importance matrix: at byte 29: the length of the dataset's name is 99, which "
            "the file cannot hold");
}

TEST(Imatrix, RefusesSumsThatAreNoSquares) {
  for (const float bad : {-1.0f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    EXPECT_EQ(fault(i32(1) + dat_text("w") + i32(1) + i32(2) + floats({1, bad})),
              "i.dat: importance matrix: a sum of \"w\" is negative or not finite");
  }
}

// A file of one weight with such sums and counts.
std::string gguf_bytes(std::initializer_list<uint64_t> sums, std::initializer_list<uint64_t> counts,
                       const std::string& data, uint32_t chunk_size = 512,
                       const std::string& counts_name = "w.counts") {
  std::string head = header(2, 4) + text_field("general.type", "imatrix") +
                     text("imatrix.datasets") + u32(9) + u32(8) + u64(1) + text("d") +
                     text("imatrix.chunk_count") + u32(4) + u32(1) + text("imatrix.chunk_size") +
                     u32(4) + u32(chunk_size) + tensor_record("w.in_sum2", sums, 0) +
                     tensor_record(counts_name, counts, 32);
  return padded(head) + padded(data);
}

TEST(Imatrix, ReadsGgufFilesMadeByHand) {
  const Imatrix imatrix = parse(gguf_bytes({2, 1}, {1, 1}, padded(floats({6, 9})) + floats({3})));
  EXPECT_EQ(imatrix.importance("w"), (std::vector<float>{2, 3}));
  EXPECT_EQ(imatrix.dataset, "d");
}

TEST(Imatrix, RefusesGgufFilesWhoseCountsDoNotFit) {
  EXPECT_EQ(fault(gguf_bytes({2}, {2}, padded(floats({6, 9})) + floats({3, 3}))),
            "i.dat: importance matrix: \"w\" has 2 counts for 2 sums in lines of 2");
  EXPECT_EQ(fault(gguf_bytes({2}, {1}, padded(floats({6, 9})) + floats({-1}))),
            "i.dat: importance matrix: a count of \"w\" is not a number of tokens");
  EXPECT_EQ(fault(gguf_bytes({2}, {1}, padded(floats({6, 9})) + floats({3}), 512, "v.counts")),
            "i.dat: importance matrix: \"w\" has sums and no counts");
  EXPECT_EQ(fault(gguf_bytes({2}, {1}, padded(floats({6, 9})) + floats({3}), 0)),
            "i.dat: importance matrix: its chunks have no size or a negative number");
  EXPECT_EQ(fault(worked_example()), "i.dat: the key \"imatrix.chunk_count\" is missing");
}

}  // namespace
}  // namespace dlm
