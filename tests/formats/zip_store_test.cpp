// Zip archives byte by byte: what is written, in both widths, and each way to break one.
#include "formats/zip_store.h"

#include <cstring>

#include <gtest/gtest.h>

#include "formats/crc32.h"
#include "support/error.h"
#include "temporary_folder.h"

namespace dlm {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string text_of(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string archive_of(const fs::path& path, uint64_t zip64_from = 0xFFFFFFFF) {
  ZipStoreWriter zip(path, zip64_from);
  zip.add("a/one", "hello");
  zip.add("a/empty", "");
  zip.add("a/two", std::string_view("\0\1\2", 3));
  zip.finish();
  return read_file(path);
}

std::string fault(const std::string& archive) {
  try {
    read_zip_store(bytes_of(archive), "x.zip");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    return error.what();
  }
  return "no error";
}

TEST(Crc32, MatchesPublishedValues) {
  EXPECT_EQ(crc32({}), 0u);
  EXPECT_EQ(crc32(bytes_of("123456789")), 0xCBF43926u);
  EXPECT_EQ(crc32(bytes_of("The quick brown fox jumps over the lazy dog")), 0x414FA339u);
  const std::string text = "The quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(crc32(bytes_of(text.substr(cut)), crc32(bytes_of(text.substr(0, cut)))), 0x414FA339u);
  }
}

TEST(ZipStore, ReadsWhatItWritesInBothWidths) {
  const TemporaryFolder folder;
  for (uint64_t zip64_from : {uint64_t{0xFFFFFFFF}, uint64_t{1}, uint64_t{0}}) {
    const std::string archive = archive_of(folder / "x", zip64_from);
    const auto entries = read_zip_store(bytes_of(archive), "x");
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[0].name, "a/one");
    EXPECT_EQ(text_of(entries[0].bytes), "hello");
    EXPECT_EQ(text_of(entries[1].bytes), "");
    EXPECT_EQ(text_of(entries[2].bytes), std::string("\0\1\2", 3));
  }
}

TEST(ZipStore, AlignsDataTo64Bytes) {
  const TemporaryFolder folder;
  const std::string archive = archive_of(folder / "x");
  for (const ZipEntry& entry : read_zip_store(bytes_of(archive), "x")) {
    EXPECT_EQ((entry.bytes.data() - bytes_of(archive).data()) % 64, 0) << entry.name;
  }
}

TEST(ZipStore, WritesTheSameBytesEachTime) {
  const TemporaryFolder folder;
  EXPECT_EQ(archive_of(folder / "x"), archive_of(folder / "y"));
}

TEST(ZipStore, LeavesNothingWithoutFinish) {
  const TemporaryFolder folder;
  {
    ZipStoreWriter zip(folder / "x");
    zip.add("a", "b");
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ZipStore, RefusesArchivesThatAreCutAnywhere) {
  const TemporaryFolder folder;
  for (uint64_t zip64_from : {uint64_t{0xFFFFFFFF}, uint64_t{0}}) {
    const std::string archive = archive_of(folder / "x", zip64_from);
    for (size_t size = 0; size < archive.size(); ++size) {
      EXPECT_NE(fault(archive.substr(0, size)), "no error") << size;
    }
  }
  EXPECT_EQ(fault(""), "x.zip: cannot read the zip archive: it is cut off");
  EXPECT_EQ(fault(std::string(100, 'x')),
            "x.zip: cannot read the zip archive: it has no end record");
}

TEST(ZipStore, RefusesDamagedEntries) {
  const TemporaryFolder folder;
  const std::string archive = archive_of(folder / "x");
  const size_t directory = archive.find("PK\x01\x02");
  const auto with = [&](size_t at, const std::string& bytes) {
    std::string changed = archive;
    return changed.replace(at, bytes.size(), bytes);
  };
  EXPECT_EQ(fault(with(archive.find("hello"), "j")),
            "x.zip: cannot read the zip archive: the entry a/one has a wrong checksum");
  EXPECT_EQ(fault(with(directory + 10, "\x08")),
            "x.zip: cannot read the zip archive: the entry a/one is compressed or encrypted");
  EXPECT_EQ(fault(with(directory + 8, "\x01")),
            "x.zip: cannot read the zip archive: the entry a/one is compressed or encrypted");
  EXPECT_EQ(fault(with(directory + 20, "\x06")),
            "x.zip: cannot read the zip archive: the entry a/one has two sizes");
  EXPECT_EQ(fault(with(directory + 42, "\x01")),
            "x.zip: cannot read the zip archive: the entry a/one is not in place");
  EXPECT_EQ(fault(with(directory, "PX")),
            "x.zip: cannot read the zip archive: its directory is broken");
  EXPECT_EQ(fault(with(directory + 42, "\xFE\xFF\xFF\xFF")),
            "x.zip: cannot read the zip archive: it is cut off");
}

// One byte at a time is changed to three values; reading must end in a value or an Error, nothing
// else.
TEST(ZipStore, SurvivesEveryChangedByte) {
  const TemporaryFolder folder;
  for (uint64_t zip64_from : {uint64_t{0xFFFFFFFF}, uint64_t{0}}) {
    const std::string archive = archive_of(folder / "x", zip64_from);
    size_t num_refused = 0;
    for (size_t i = 0; i < archive.size(); ++i) {
      for (char byte : {'\x00', '\xFF', static_cast<char>(archive[i] ^ 1)}) {
        std::string changed = archive;
        changed[i] = byte;
        if (fault(changed) != "no error") ++num_refused;
      }
    }
    EXPECT_GT(num_refused, 100u);
  }
}

}  // namespace
}  // namespace dlm
