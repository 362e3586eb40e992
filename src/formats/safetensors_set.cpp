// The weights of a model folder, in one file or in shards. Shard names come from an index that may
// be hostile, so they have to be plain file names.
#include "formats/safetensors.h"
#include "support/error.h"
#include "support/json.h"

namespace dlm {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

// Tensor name → shard file name.
std::map<std::string, std::string> read_weight_map(const fs::path& path) {
  const auto fail = [&](const std::string& message) {
    throw Error(ErrorKind::kFormat, message, "the index is damaged: fetch it again",
                {path.string()});
  };
  const Json json = parse_json(read_file(path, size_t{64} << 20), path.string());
  const Json* weight_map = json.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) fail("the index has no weight_map");
  std::map<std::string, std::string> result;
  for (const auto& [tensor, file] : weight_map->members()) {
    if (!file.is_string()) fail("weight_map \"" + tensor + "\" names no file");
    if (!is_plain_name(file.as_string())) {
      fail("weight_map \"" + tensor + "\" leads out of the folder: \"" + file.as_string() + "\"");
    }
    result[tensor] = file.as_string();
  }
  return result;
}

}  // namespace

SafetensorsSet SafetensorsSet::open(const fs::path& folder) {
  SafetensorsSet set;
  set.folder_ = folder;
  if (path_exists(folder / kSingle)) {
    set.files_.push_back(SafetensorsFile::open(folder / kSingle));
    for (const SafetensorsTensor& tensor : set.files_[0].tensors()) {
      set.index_[tensor.name] = {0, &tensor};
    }
    return set;
  }
  const fs::path index = folder / kIndex;
  if (!path_exists(index)) {
    throw Error(ErrorKind::kBase, "the folder has no model.safetensors and no index of shards",
                "check the path, or download the model again", {folder.string()});
  }
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  std::map<std::string, size_t> opened;
  for (const auto& [tensor, shard] : weight_map) opened[shard] = 0;
  for (auto& [shard, position] : opened) {
    if (!path_exists(folder / shard)) {
      throw Error(ErrorKind::kBase, "the shard " + shard + " is missing",
                  "the download is not complete: fetch the model again", {folder.string()});
    }
    position = set.files_.size();
    set.files_.push_back(SafetensorsFile::open(folder / shard));
  }
  for (const auto& [name, shard] : weight_map) {
    const size_t position = opened[shard];
    const SafetensorsTensor* tensor = set.files_[position].find(name);
    if (tensor == nullptr) {
      throw Error(ErrorKind::kFormat,
                  "the shard has no tensor \"" + name + "\" that the index names",
                  "index and shards are of different downloads: fetch the model again",
                  {(folder / shard).string()});
    }
    set.index_[name] = {position, tensor};
  }
  return set;
}

std::vector<std::string> SafetensorsSet::names() const {
  std::vector<std::string> names;
  for (const auto& [name, slot] : index_) names.push_back(name);
  return names;
}

const SafetensorsTensor* SafetensorsSet::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : found->second.tensor;
}

const SafetensorsTensor& SafetensorsSet::at(std::string_view name) const {
  if (const SafetensorsTensor* tensor = find(name)) return *tensor;
  throw Error(ErrorKind::kBase, "the weights have no tensor \"" + std::string(name) + "\"",
              "config.json and weights do not belong together, or the model family is another one",
              {folder_.string()});
}

std::shared_ptr<const MappedFile> SafetensorsSet::file_of(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : files_[found->second.file].file();
}

}  // namespace dlm
