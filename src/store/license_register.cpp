#include "store/license_register.h"

#include <map>
#include <string>

#include "support/error.h"

namespace dlm {
namespace {

using Register = std::map<std::string, LicenseAcceptance>;

fs::path path_of(const fs::path& home) {
  return home / "licenses.json";
}

Register read_register(const fs::path& home) {
  const fs::path path = path_of(home);
  if (!path_exists(path)) return {};
  const Refuse refuse = [&](const std::string& reason) {
    throw Error(ErrorKind::kStore, "the record of accepted licences is corrupt: " + reason,
                "remove the file: licences are then asked for again", {path.string()});
  };
  Json json;
  try {
    json = parse_json(read_file(path, size_t{1} << 20), path.string());
  } catch (const Error& error) {
    refuse(error.message());
  }
  Register licenses;
  if (!json.is_object()) refuse("it is no object");
  JsonFields fields(json, "", refuse);
  for (const auto& [base, value] : json.members()) {
    if (const auto license = read_license(fields, base.c_str(), refuse)) licenses[base] = *license;
  }
  return licenses;
}

}  // namespace

std::optional<LicenseAcceptance> accepted_license(const fs::path& home, std::string_view base) {
  const Register licenses = read_register(home);
  const auto found = licenses.find(std::string(base));
  if (found == licenses.end()) return std::nullopt;
  return found->second;
}

std::optional<LicenseAcceptance> acceptance_of(std::string_view license_url,
                                               std::string_view license_spdx, std::string_view base,
                                               const fs::path& home,
                                               const std::optional<LicenseAcceptance>& of_store) {
  const auto is_to_these = [&](const std::optional<LicenseAcceptance>& one) {
    return one && one->license_url == license_url && one->license_spdx == license_spdx;
  };
  if (is_to_these(of_store)) return of_store;
  auto known = accepted_license(home, base);
  return is_to_these(known) ? known : std::nullopt;
}

void record_license(const fs::path& home, std::string_view base, const LicenseAcceptance& license) {
  Register licenses = read_register(home);
  licenses[std::string(base)] = license;
  Json json = Json::object();
  for (const auto& [key, one] : licenses) json.set(key, json_of(one));
  make_folders(home);
  write_file_atomic(path_of(home), json.dump(2) + "\n");
}

}  // namespace dlm
