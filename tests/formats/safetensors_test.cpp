// Safetensors: bytes as the reference writes them, and one exact message for each way to break a
// file.
#include "formats/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

#include "support/error.h"
#include "support/json.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

std::string file_bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), 8);
  return bytes + header + data;
}

SafetensorsFile parse(const std::string& bytes) {
  return SafetensorsFile::parse(std::as_bytes(std::span(bytes)), "m.safetensors");
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

template <typename Call>
std::string fault_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

const std::string kTwo =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
    R"("a":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}})";

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirData) {
  const std::string bytes = file_bytes(kTwo + "   ", "12345678abcdef");
  const SafetensorsFile file = parse(bytes);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.tensors()[1].dtype, "BF16");
  EXPECT_EQ(file.at("a").shape, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(std::memcmp(file.at("a").bytes.data(), "abcdef", 6), 0);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_EQ(fault_of([&] { file.at("c"); }), "m.safetensors: has no tensor \"c\"");
}

TEST(Safetensors, AcceptsScalarsAndEmptyTensors) {
  const std::string bytes = file_bytes(R"({"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},)"
                                       R"("s":{"dtype":"I64","shape":[],"data_offsets":[0,8]}})",
                                       "12345678");
  EXPECT_EQ(parse(bytes).at("s").bytes.size(), 8u);
  EXPECT_EQ(parse(bytes).at("e").bytes.size(), 0u);
  EXPECT_TRUE(parse(file_bytes("{}", "")).tensors().empty());
}

TEST(Safetensors, SaysThatAFileIsCutOff) {
  EXPECT_EQ(fault("1234567"), "m.safetensors: has 7 bytes, a safetensors file has at least 8");
  EXPECT_EQ(fault(file_bytes(kTwo, "12345678abcdef").substr(0, 40)),
            "m.safetensors: has 40 bytes, the header alone asks for 150");
  EXPECT_EQ(fault(file_bytes(kTwo, "12345678abc")),
            "m.safetensors: has 161 bytes, the header asks for 164 or more (tensor \"a\")");
  try {
    parse(file_bytes(kTwo, ""));
  } catch (const Error& error) {
    EXPECT_EQ(error.hint(),
              "the file is cut off, as after an interrupted download or copy: fetch it again");
  }
}

TEST(Safetensors, RefusesBytesAfterTheLastTensor) {
  EXPECT_EQ(fault(file_bytes(kTwo, "12345678abcdef+")),
            "m.safetensors: has 165 bytes, the header asks for 164");
}

TEST(Safetensors, KnowsOtherFilesByTheirFirstBytes) {
  EXPECT_EQ(fault("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
            "m.safetensors: a Git LFS pointer stands where a safetensors file should be");
  EXPECT_EQ(fault("<!DOCTYPE html><html>"),
            "m.safetensors: is no safetensors file: its header would have 5789751444030890300 "
            "bytes");
}

TEST(Safetensors, RefusesBrokenHeaders) {
  EXPECT_EQ(fault(file_bytes("{\"a\":", "")),
            "m.safetensors: the safetensors header is broken: invalid JSON: syntax error while "
            "parsing value - unexpected end of input; expected '[', '{', or a literal");
  EXPECT_EQ(fault(file_bytes("[]", "")),
            "m.safetensors: the safetensors header is not a JSON object");
  EXPECT_EQ(fault(file_bytes(R"({"__metadata__":[]})", "")),
            "m.safetensors: __metadata__ is not a JSON object");
  EXPECT_EQ(fault(file_bytes(R"({"__metadata__":{"a":1}})", "")),
            "m.safetensors: __metadata__ \"a\" is not a string");
}

TEST(Safetensors, RefusesBrokenTensorEntries) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(1)", "its entry is not a JSON object"},
      {R"({"shape":[2],"data_offsets":[0,8]})", "dtype is missing"},
      {R"({"dtype":"F32","data_offsets":[0,8]})", "shape is missing"},
      {R"({"dtype":"F32","shape":[2]})", "data_offsets is not a pair"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,9]})", "data_offsets is not a pair"},
      {R"({"dtype":"F31","shape":[2],"data_offsets":[0,8]})", "dtype \"F31\" is not known"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})", "unknown key \"x\""},
      {R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})",
       "a dimension is not a whole number from 0 on"},
      {R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})",
       "a dimension is not a whole number from 0 on"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]})",
       "an offset is not a whole number from 0 on"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "its data ends before it begins"},
      {R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})",
       "its data has 8 bytes, shape and dtype ask for 12"},
      {R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})",
       "its shape is too large"},
  };
  for (const auto& [entry, message] : cases) {
    EXPECT_EQ(fault(file_bytes(std::string("{\"t\":") + entry + "}", "12345678")),
              std::string("m.safetensors: tensor \"t\": ") + message);
  }
}

TEST(Safetensors, RefusesOverlapsAndGaps) {
  const auto two = [](const char* a, const char* b) {
    return file_bytes(std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + a +
                          R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                      "12345678");
  };
  EXPECT_EQ(fault(two("[0,4]", "[4,8]")), "no error");
  EXPECT_EQ(fault(two("[0,4]", "[2,6]")), "m.safetensors: tensor \"b\" overlaps another one");
  EXPECT_EQ(fault(two("[0,4]", "[0,4]")), "m.safetensors: tensor \"b\" overlaps another one");
  EXPECT_EQ(fault(two("[1,5]", "[4,8]")),
            "m.safetensors: there is a gap before the data of tensor \"a\"");
}

TEST(Safetensors, WritesTheBytesOfTheReference) {
  const TemporaryFolder folder;
  const std::string f("12345678"), h("abcd"), g("ABCDEFGH");
  write_safetensors(folder / "x",
                    {{"z", "F32", {2}, bytes_of(f)},
                     {"h", "BF16", {2, 1}, bytes_of(h)},
                     {"a", "F32", {1, 2}, bytes_of(g)}},
                    {{"format", "pt"}});
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("z":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("h":{"dtype":"BF16","shape":[2,1],"data_offsets":[16,20]}})";
  ASSERT_EQ(header.size() % 8, 7u);
  EXPECT_EQ(read_file(folder / "x"), file_bytes(header + " ", "ABCDEFGH12345678abcd"));
}

TEST(Safetensors, ReadsWhatItWrites) {
  const TemporaryFolder folder;
  const std::string data("12345678");
  write_safetensors(folder / "x",
                    {{"naïve\n\"", "F64", {1, 1, 1}, bytes_of(data)}, {"empty", "I8", {0}, {}}});
  const SafetensorsFile file = SafetensorsFile::open(folder / "x");
  EXPECT_EQ(file.at("naïve\n\"").shape, (std::vector<int64_t>{1, 1, 1}));
  EXPECT_EQ(std::memcmp(file.at("naïve\n\"").bytes.data(), data.data(), 8), 0);
  EXPECT_TRUE(file.at("empty").bytes.empty());
  EXPECT_TRUE(file.metadata().empty());
}

TEST(Safetensors, RefusesToWriteWhatItWouldRefuseToRead) {
  const TemporaryFolder folder;
  const std::string data("12345678");
  const auto write = [&](std::vector<SafetensorsTensor> tensors) {
    return fault_of([&] { write_safetensors(folder / "x", tensors); });
  };
  EXPECT_EQ(write({{"a", "F32", {3}, bytes_of(data)}}),
            "bytes and shape of a tensor to write do not agree");
  EXPECT_EQ(write({{"a", "F33", {2}, bytes_of(data)}}), "a tensor to write has an unknown dtype");
  EXPECT_EQ(write({{"a", "F32", {2}, bytes_of(data)}, {"a", "U8", {8}, bytes_of(data)}}),
            "two tensors to write have the same name");
  EXPECT_FALSE(fs::exists(folder / "x"));
}

class SafetensorsShards : public ::testing::Test {
 protected:
  void write_shards(const std::string& index) {
    write_safetensors(folder_ / "m-1.safetensors", {{"a", "U8", {4}, bytes_of(data_)}});
    write_safetensors(folder_ / "m-2.safetensors", {{"b", "U8", {2, 2}, bytes_of(data_)}});
    write_file_atomic(folder_ / "model.safetensors.index.json", index);
  }
  std::string open_fault() {
    std::string text = fault_of([&] { SafetensorsSet::open(folder_.path()); });
    const std::string place = folder_.path().string();
    return text.starts_with(place) ? text.substr(place.size()) : text;
  }
  const std::string data_ = "1234";
  TemporaryFolder folder_;
};

TEST_F(SafetensorsShards, FindsTensorsAcrossShards) {
  write_shards(R"({"metadata":{"total_size":8},
                   "weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  const SafetensorsSet set = SafetensorsSet::open(folder_.path());
  EXPECT_EQ(set.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(set.at("b").shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(set.find("c"), nullptr);
  EXPECT_EQ(set.files().size(), 2u);
  EXPECT_EQ(set.file_of("b"), set.files()[1].file());
  EXPECT_EQ(set.file_of("c"), nullptr);
  const SafetensorsSet moved = SafetensorsSet::open(folder_.path());
  EXPECT_EQ(std::memcmp(moved.at("a").bytes.data(), "1234", 4), 0);
}

TEST_F(SafetensorsShards, PrefersTheSingleFile) {
  write_safetensors(folder_ / "model.safetensors", {{"x", "U8", {4}, bytes_of(data_)}});
  const SafetensorsSet set = SafetensorsSet::open(folder_.path());
  EXPECT_EQ(set.names(), std::vector<std::string>{"x"});
  EXPECT_EQ(fault_of([&] { set.at("lm_head.weight"); }),
            folder_.path().string() + ": the weights have no tensor \"lm_head.weight\"");
}

TEST_F(SafetensorsShards, NamesWhatIsMissing) {
  EXPECT_EQ(open_fault(), ": the folder has no model.safetensors and no index of shards");
  write_shards(R"({"weight_map":{"a":"m-1.safetensors","b":"m-3.safetensors"}})");
  EXPECT_EQ(open_fault(), ": the shard m-3.safetensors is missing");
  write_shards(R"({"weight_map":{"a":"m-2.safetensors"}})");
  EXPECT_EQ(open_fault(), "/m-2.safetensors: the shard has no tensor \"a\" that the index names");
}

TEST_F(SafetensorsShards, RefusesPathsThatLeaveTheFolder) {
  for (const char* name : {"../x", "/etc/passwd", "..", ".", "", "a/b", "a\\\\b", "a\\u0000"}) {
    write_shards(std::string(R"({"weight_map":{"a":")") + name + "\"}}");
    EXPECT_NE(open_fault().find(": weight_map \"a\" leads out of the folder: "), std::string::npos)
        << name;
  }
  write_shards(R"({"weight_map":{"a":1}})");
  EXPECT_EQ(open_fault(), "/model.safetensors.index.json: weight_map \"a\" names no file");
  write_shards(R"([])");
  EXPECT_EQ(open_fault(), "/model.safetensors.index.json: the index has no weight_map");
}

// Every file of the outside data opens, and is written again with the same bytes, except where
// several metadata keys stand in the reference's random order.
TEST(SafetensorsData, OpensAndRewritesTheFilesOfOtherPrograms) {
  const char* data = std::getenv("DLM_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "skipped: DLM_TEST_DATA is not set";
  const TemporaryFolder folder;
  size_t num_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(data)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file = SafetensorsFile::open(entry.path());
    write_safetensors(folder / "x", file.tensors(), file.metadata());
    const SafetensorsFile again = SafetensorsFile::open(folder / "x");
    ASSERT_EQ(again.tensors().size(), file.tensors().size()) << entry.path();
    for (const SafetensorsTensor& tensor : file.tensors()) {
      const SafetensorsTensor& copy = again.at(tensor.name);
      ASSERT_EQ(copy.shape, tensor.shape);
      ASSERT_EQ(std::memcmp(copy.bytes.data(), tensor.bytes.data(), tensor.bytes.size()), 0);
    }
    ++num_files;
    if (file.metadata().size() > 1) continue;
    EXPECT_TRUE(read_file(folder / "x") == read_file(entry.path())) << entry.path();
  }
  EXPECT_GT(num_files, 0u);
}

}  // namespace
}  // namespace dlm
