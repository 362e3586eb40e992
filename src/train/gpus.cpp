#include "train/gpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "support/text.h"
#include "train/kernel_files.h"

namespace dlm {

namespace {

constexpr uint64_t kDisplayClass = 0x03;  // the upper byte of 0x030000, 0x030200, ...

std::string vendor_name(uint64_t id) {
  switch (id) {
    case 0x10de:
      return "NVIDIA";
    case 0x1002:
      return "AMD";
    case 0x8086:
      return "Intel";
    case 0x1a03:
      return "ASPEED";
    case 0x102b:
      return "Matrox";
    case 0x1af4:
      return "Red Hat (virtio)";
    case 0x1b36:
      return "Red Hat";
    case 0x1234:
      return "QEMU";
    case 0x15ad:
      return "VMware";
    case 0x1414:
      return "Microsoft";
    case 0x1013:
      return "Cirrus Logic";
    default:
      return fmt::format("vendor 0x{:04x}", id);
  }
}

// Names of a folder's entries in order; links to devices among them.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The value of a line "KEY: value" or "KEY=value".
std::string value_in(const fs::path& path, std::string_view key) {
  const std::string text = kernel_text(path);
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with(key)) return std::string(trim(line.substr(key.size())));
  }
  return {};
}

// In pci.ids a vendor's line begins with its number; those of its devices follow behind a tab.
std::string name_in_table(const fs::path& root, uint64_t vendor, uint64_t device) {
  for (const char* table : {"usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids"}) {
    const std::string text = kernel_text(root / table);
    const std::string vendor_line = fmt::format("{:04x}  ", vendor);
    const std::string device_line = fmt::format("\t{:04x}  ", device);
    bool is_within = false;
    for (const std::string_view line : split(text, '\n')) {
      if (line.empty() || line.starts_with('#')) continue;
      if (!line.starts_with('\t')) is_within = line.starts_with(vendor_line);
      if (is_within && line.starts_with(device_line)) {
        return std::string(trim(line.substr(device_line.size())));
      }
    }
  }
  return {};
}

std::string nvidia_model(const fs::path& root, const std::string& place) {
  std::string name = value_in(root / "proc/driver/nvidia/gpus" / place / "information", "Model:");
  constexpr std::string_view kVendor = "NVIDIA ";
  if (name.starts_with(kVendor)) name.erase(0, kVendor.size());
  return name;
}

std::optional<Gpu> pci_gpu(const fs::path& root, const std::string& place) {
  const fs::path folder = root / "sys/bus/pci/devices" / place;
  if (kernel_number(folder / "class") >> 16 != kDisplayClass) return std::nullopt;
  const uint64_t vendor = kernel_number(folder / "vendor");
  const uint64_t device = kernel_number(folder / "device");
  Gpu gpu;
  gpu.place = place;
  gpu.vendor = vendor_name(vendor);
  gpu.driver = value_in(folder / "uevent", "DRIVER=");
  gpu.name = nvidia_model(root, place);
  if (gpu.name.empty()) gpu.name = std::string(trim(kernel_text(folder / "product_name")));
  if (gpu.name.empty()) gpu.name = name_in_table(root, vendor, device);
  if (gpu.name.empty()) gpu.name = fmt::format("device 0x{:04x}", device);
  return gpu;
}

// "card0", and not its outputs "card0-HDMI-A-1" or "renderD128".
bool is_card(std::string_view name) {
  if (!name.starts_with("card") || name.size() == 4) return false;
  name.remove_prefix(4);
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::vector<Gpu> list_gpus(const fs::path& root) {
  std::vector<Gpu> gpus;
  const auto is_listed = [&](const std::string& place) {
    return std::any_of(gpus.begin(), gpus.end(), [&](const Gpu& g) { return g.place == place; });
  };
  for (const std::string& place : names_in(root / "sys/bus/pci/devices")) {
    if (auto gpu = pci_gpu(root, place)) gpus.push_back(*std::move(gpu));
  }
  for (const std::string& place : names_in(root / "proc/driver/nvidia/gpus")) {
    if (!is_listed(place)) gpus.push_back({"NVIDIA", nvidia_model(root, place), place, "nvidia"});
  }
  for (const std::string& card : names_in(root / "sys/class/drm")) {
    if (!is_card(card)) continue;
    const fs::path device = root / "sys/class/drm" / card / "device";
    // A card of a device below one on the PCI bus is that one (virtio).
    std::error_code error;
    const fs::path real = fs::canonical(device, error);
    if (std::any_of(real.begin(), real.end(),
                    [&](const fs::path& part) { return is_listed(part.string()); })) {
      continue;
    }
    const std::string driver = value_in(device / "uevent", "DRIVER=");
    gpus.push_back({"", driver.empty() ? "unnamed" : driver, card, driver});
  }
  return gpus;
}

}  // namespace dlm
