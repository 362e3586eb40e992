// The graphics processors of this machine, from the kernel's files alone: no driver and no
// framework is loaded. This version computes on none of them; they are told so that nobody wonders.
#pragma once

#include <string>
#include <vector>

#include "support/file.h"

namespace dlm {

struct Gpu {
  std::string vendor;  // "NVIDIA", or "vendor 0x1234"
  std::string name;    // "H100 PCIe"; the device's number where no file knows its name
  std::string place;   // its PCI address, or the card's name for one on another bus
  std::string driver;  // of the kernel; "" when none is bound
};

// Display controllers on the PCI bus (class 0x03), then cards of /proc/driver/nvidia and
// /sys/class/drm that are not on it, by place. Names come from the driver where it tells them, else
// from the table of PCI devices that most systems have (pci.ids).
std::vector<Gpu> list_gpus(const fs::path& root = "/");

}  // namespace dlm
