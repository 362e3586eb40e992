// What a hub says of one repository at one commit, and which of its files a base needs. Everything
// in it comes from outside and is checked here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

struct HubFile {
  std::string name;
  uint64_t size = 0;
  // 64 hex digits: the SHA-256 of the bytes; 40: git's name for them (GitBlobHash).
  std::string digest;
};

struct HubListing {
  std::string commit;
  bool is_gated = false;
  std::string license;  // as the model's page has it; "" where it says nothing
  std::vector<HubFile> files;
};

// The answer of /api/models/org/name/revision/REV?blobs=true. A file without size or digest gets
// none here. Throws Error(kNetwork) for what is no such answer, and Error(kBase) for names of files
// that lead out of the repository's folder; `source` names it in messages.
HubListing parse_hub_listing(std::string_view text, std::string_view source);

struct BaseFiles {
  std::vector<HubFile> files;       // weights last
  std::vector<std::string> absent;  // optional ones that the repository does not have
};

// Configuration, tokenizer, template, weights in safetensors, readme and licence. Throws
// Error(kBase) where a part is missing, with the reason where weights are there in another form:
// pickled ones are never fetched, since reading them may run code.
BaseFiles choose_base_files(const HubListing& listing, std::string_view repository);

bool is_weight_file(std::string_view name);

}  // namespace dlm
