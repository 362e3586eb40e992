// Training states come back whole or not at all.
#include "store/training_state.h"

#include "formats/zip_store.h"
#include "store_fixture.h"
#include "support/hash.h"

namespace dlm {
namespace {

class TrainingState : public StoreTest {
 protected:
  void SetUp() override {
    make_folders(store_.root());
    write_training_state(store_.root(), TorchValue::Dict{{"step", 3}});
  }
  std::string read_fault() const {
    return fault([&] { read_training_state(store_.root()); });
  }
  const fs::path file_ = store_.root() / "training_state.pt";
  const fs::path hash_ = store_.root() / "training_state.pt.sha256";
};

TEST_F(TrainingState, ReadsBackWhatWasWritten) {
  EXPECT_EQ(read_training_state(store_.root()).at("step").as_int(), 3);
  EXPECT_EQ(read_file(hash_), sha256_file_hex(file_) + "\n");
}

TEST_F(TrainingState, RefusesADamagedFile) {
  std::string bytes = read_file(file_);
  const std::string before = sha256_hex(std::string_view(bytes));
  bytes[bytes.size() / 2] ^= 1;
  write_file_atomic(file_, bytes);
  EXPECT_EQ(read_fault(), "STORE/training_state.pt: the training state is damaged: its digest is " +
                              sha256_hex(std::string_view(bytes)).substr(0, 16) +
                              "…, recorded is " + before.substr(0, 16) + "…");
}

TEST_F(TrainingState, NamesTheMissingFile) {
  remove_path(hash_);
  EXPECT_EQ(read_fault(),
            "STORE/training_state.pt.sha256: the training state is not complete: file missing");
}

TEST_F(TrainingState, RefusesTheStateOfAnotherProgram) {
  ZipStoreWriter zip(file_);
  zip.add("training_state/data.pkl", "\x80\x02}q\x01.");
  zip.finish();
  write_file_atomic(hash_, sha256_file_hex(file_) + "\n");
  EXPECT_EQ(
      read_fault(),
      "STORE/training_state.pt: this torch archive was written by another program; dlm reads the "
      "training states that it writes itself");
}

}  // namespace
}  // namespace dlm
