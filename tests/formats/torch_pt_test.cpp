// Torch archives: the pickle as literal bytes, round trips, and polite refusal of what others
// wrote.
#include "formats/torch_pt.h"

#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "formats/zip_store.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

constexpr const char* kForeign =
    "this torch archive was written by another program; dlm reads the training states that it "
    "writes "
    "itself";

template <typename Call>
std::string fault(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string entry_text(const std::string& archive, std::string_view name) {
  for (const ZipEntry& entry : read_zip_store(bytes_of(archive), "x")) {
    if (entry.name != name) continue;
    return std::string(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
  }
  return "no entry";
}

std::string written(const fs::path& path, const TorchValue& value) {
  write_torch_pt(path, value);
  return read_file(path);
}

// An archive with the given pickle and one storage of eight bytes.
std::string archive_with(const fs::path& path, const std::string& pickle,
                         const std::string& folder = "archive/") {
  ZipStoreWriter zip(path);
  zip.add(folder + "data.pkl", pickle);
  zip.add(folder + "data/0", "12345678");
  zip.finish();
  return read_file(path);
}

TorchTensor floats() {
  const float values[] = {1.5f, -2.0f, 0.0f, 3.0f, 4.0f, 5.0f};
  return TorchTensor::copy_of(std::span<const float>(values), {2, 3});
}

TorchValue example() {
  const int64_t steps[] = {7};
  return TorchValue::Dict{
      {"version", 1},
      {"none", {}},
      {"flags", TorchValue::List{true, false}},
      {"numbers",
       TorchValue::List{int64_t{1} << 40, -5, 2.5, std::numeric_limits<double>::infinity()}},
      {"text", "né\n"},
      {"empty", TorchValue::List{TorchValue::Dict{}, TorchValue::List{}}},
      {"optimizer",
       TorchValue::Dict{{"exp_avg", floats()},
                        {"step", TorchTensor::copy_of(std::span<const int64_t>(steps), {})},
                        {"nothing", TorchTensor{"BF16", {0, 4}, {}, nullptr}}}}};
}

TEST(TorchPt, WritesThePickleThatTorchReads) {
  const TemporaryFolder folder;
  const float values[] = {1, 2};
  const std::string archive =
      written(folder / "x",
              TorchValue::Dict{{"w", TorchTensor::copy_of(std::span<const float>(values), {2, 1})},
                               {"n", 3}});
  const auto text = [](const std::string& s) {
    return "X" + std::string(1, static_cast<char>(s.size())) + std::string(3, '\0') + s;
  };
  const auto number = [](char n) { return "J" + std::string(1, n) + std::string(3, '\0'); };
  EXPECT_EQ(entry_text(archive, "archive/data.pkl"),
            "\x80\x02}(" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
                "ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(2) + "tQ" + number(0) +
                "(" + number(2) + number(1) + "t(" + number(1) + number(1) +
                "t\x89"
                "ccollections\nOrderedDict\n)RtR" +
                text("n") + number(3) + "u.");
  EXPECT_EQ(entry_text(archive, "archive/data/0"), std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  EXPECT_EQ(entry_text(archive, "archive/version"), "3\n");
  EXPECT_EQ(entry_text(archive, "archive/byteorder"), "little");
}

TEST(TorchPt, ReadsWhatItWrites) {
  const TemporaryFolder folder;
  write_torch_pt(folder / "x", example());
  const TorchValue value = read_torch_pt(folder / "x");
  ASSERT_EQ(value.as_dict().size(), 7u);
  EXPECT_EQ(value.as_dict()[2].first, "flags");
  EXPECT_EQ(value.at("version").as_int(), 1);
  EXPECT_TRUE(value.at("none").is_none());
  EXPECT_TRUE(value.at("flags").as_list()[0].as_bool());
  EXPECT_FALSE(value.at("flags").as_list()[1].as_bool());
  EXPECT_EQ(value.at("numbers").as_list()[0].as_int(), int64_t{1} << 40);
  EXPECT_EQ(value.at("numbers").as_list()[1].as_int(), -5);
  EXPECT_EQ(value.at("numbers").as_list()[2].as_double(), 2.5);
  EXPECT_EQ(value.at("numbers").as_list()[3].as_double(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(value.at("text").as_string(), "né\n");
  EXPECT_TRUE(value.at("empty").as_list()[0].as_dict().empty());
  EXPECT_TRUE(value.at("empty").as_list()[1].as_list().empty());
  const TorchValue& optimizer = value.at("optimizer");
  EXPECT_EQ(optimizer.at("exp_avg").as_tensor().shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(optimizer.at("exp_avg").as_tensor().elements<float>(), floats().elements<float>());
  EXPECT_EQ(optimizer.at("step").as_tensor().elements<int64_t>(), std::vector<int64_t>{7});
  EXPECT_TRUE(optimizer.at("step").as_tensor().shape.empty());
  EXPECT_EQ(optimizer.at("nothing").as_tensor().shape, (std::vector<int64_t>{0, 4}));
}

TEST(TorchPt, TensorsOutliveTheFile) {
  const TemporaryFolder folder;
  write_torch_pt(folder / "x", floats());
  TorchTensor tensor = read_torch_pt(folder / "x").as_tensor();
  remove_path(folder / "x");
  EXPECT_EQ(tensor.elements<float>(), floats().elements<float>());
}

TEST(TorchPt, WritesTheSameBytesEachTime) {
  const TemporaryFolder folder;
  EXPECT_EQ(written(folder / "x", example()), written(folder / "y", example()));
}

TEST(TorchPt, NamesTheWantedAndTheFoundType) {
  const TorchValue value = TorchValue::Dict{{"a", 1}, {"t", floats()}};
  EXPECT_EQ(fault([&] { value.at("a").as_string(); }),
            "expected a text in the training state, found an int");
  EXPECT_EQ(fault([&] { value.as_list(); }), "expected a list in the training state, found a dict");
  EXPECT_EQ(fault([&] { value.at("b"); }), "the training state has no \"b\"");
  EXPECT_EQ(fault([&] { value.at("a").at("b"); }),
            "expected a dict in the training state, found an int");
  EXPECT_EQ(fault([&] { value.at("t").as_tensor().elements<int64_t>(); }),
            "expected a tensor of I64 in the training state, found F32");
}

TEST(TorchPt, RefusesToWriteWhatIsNotSound) {
  const TemporaryFolder folder;
  const auto write = [&](TorchValue value) {
    return fault([&] { write_torch_pt(folder / "x", value); });
  };
  EXPECT_EQ(write("\xFF"), "a text of a training state is not UTF-8 or too long");
  TorchTensor tensor = floats();
  tensor.shape = {7};
  EXPECT_EQ(write(tensor), "bytes and shape of a tensor of a training state do not agree");
  tensor.dtype = "U64";
  tensor.shape = {3};
  EXPECT_EQ(write(tensor), "a tensor of a training state has a dtype that torch files do not hold");
  TorchValue deep;
  for (int i = 0; i < 64; ++i) deep = TorchValue::List{deep};
  EXPECT_EQ(write(deep), "a training state is nested too deeply");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(TorchPt, RefusesArchivesOfOtherPrograms) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& archive) {
    return fault([&] { parse_torch_pt(bytes_of(archive), "x.pt"); });
  };
  // A memo after the dict, as Python's pickler writes it; another folder name; code to run.
  EXPECT_EQ(read(archive_with(folder / "a", "\x80\x02}q")), kForeign);
  EXPECT_EQ(read(archive_with(folder / "a", "\x80\x02N.", "training_state/")), kForeign);
  EXPECT_EQ(read(archive_with(folder / "a",
                              "\x80\x02"
                              "cos\nsystem\n(X\x02" +
                                  std::string(3, '\0') + "lstR.")),
            kForeign);
  EXPECT_EQ(read(archive_with(folder / "a", "\x80\x04N.")), kForeign);
  EXPECT_EQ(read(archive_with(folder / "a", "\x80\x02NN.")), kForeign);
  EXPECT_EQ(read(archive_with(folder / "a", "\x80\x02N.N")), kForeign);
  EXPECT_EQ(read(archive_with(folder / "a", "")), kForeign);
  EXPECT_EQ(read(archive_with(folder / "a", "\x80\x02" + std::string(100'000, ']'))), kForeign);
  std::string deep = "\x80\x02";
  for (int i = 0; i < 100'000; ++i) deep += "](";
  EXPECT_EQ(read(archive_with(folder / "a", deep)), kForeign);
  EXPECT_EQ(read("not a zip archive at all"), "cannot read the zip archive: it has no end record");
}

// Each byte of the pickle takes all values; the archive around it is sound, so the pickle's own
// checks are met. Reading ends in a value or an Error.
TEST(TorchPt, SurvivesEveryChangedByteOfThePickle) {
  const TemporaryFolder folder;
  const float values[] = {1, 2};
  const TorchValue value =
      TorchValue::Dict{{"w", TorchTensor::copy_of(std::span<const float>(values), {2, 1})},
                       {"n", TorchValue::List{3, 2.5, "x"}}};
  const std::string pickle = entry_text(written(folder / "x", value), "archive/data.pkl");
  size_t num_refused = 0;
  for (size_t i = 0; i < pickle.size(); ++i) {
    for (int byte : {0, 1, 0x28, 0x7F, 0x80, 0xFF, pickle[i] ^ 1, pickle[i] ^ 4}) {
      std::string changed = pickle;
      changed[i] = static_cast<char>(byte);
      const std::string archive = archive_with(folder / "y", changed);
      if (fault([&] { parse_torch_pt(bytes_of(archive), "y"); }) != "no error") ++num_refused;
    }
  }
  EXPECT_GT(num_refused, pickle.size());
}

}  // namespace
}  // namespace dlm
