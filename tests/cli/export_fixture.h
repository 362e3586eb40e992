// The fixture of the tests of `dlm export`.
#pragma once

#include <cstdlib>
#include <set>

#include "cli_fixture.h"

namespace dlm {

class ExportTest : public CliTest {
 protected:
  // The tiny base is too small for its quants to be near; the proof runs with wide limits.
  ProgramResult export_it(std::vector<std::string> more) {
    std::vector<std::string> words = {"export", document().string(), "--max-kl",
                                      "50",     "--min-agreement",   "0"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  fs::path exported(const std::string& name) const { return store() / "exports" / name; }
  Json manifest_of(const std::string& name) {
    return parse_json(read_file(exported(name) / "export_manifest.json"));
  }
  void train() {
    write_document(kPairs);
    train_shortly();
  }
  // A program of that name on the PATH.
  void install(const std::string& name, const std::string& script) {
    make_folders(folder_ / "bin");
    write_file_atomic(folder_ / "bin" / name, "#!/bin/sh\n" + script);
    fs::permissions(folder_ / "bin" / name, fs::perms(0755));
    options_.environment["PATH"] = (folder_ / "bin").string() + ":/usr/bin:/bin";
  }
};

}  // namespace dlm
