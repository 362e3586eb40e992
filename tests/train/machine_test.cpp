// Facts of a machine from a likeness of the kernel's files.
#include "train/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary_folder.h"
#include "train/gpus.h"

namespace dlm {
namespace {

using ::testing::ElementsAre;

class MachineTest : public ::testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    const fs::path file = folder_ / path;
    make_folders(file.parent_path());
    write_file_atomic(file, text);
  }
  void put_pci(const std::string& place, const std::string& class_code, const std::string& vendor,
               const std::string& device) {
    const std::string folder = "sys/bus/pci/devices/" + place + "/";
    put(folder + "class", class_code + "\n");
    put(folder + "vendor", vendor + "\n");
    put(folder + "device", device + "\n");
  }
  std::vector<std::string> gpus() {
    std::vector<std::string> lines;
    for (const Gpu& g : list_gpus(folder_.path())) {
      lines.push_back(g.vendor + "|" + g.name + "|" + g.place + "|" + g.driver);
    }
    return lines;
  }
  static constexpr uint64_t kMiB = uint64_t{1} << 20;

  TemporaryFolder folder_;
};

TEST_F(MachineTest, CountsACoreOfTwoThreadsOnce) {
  put("proc/cpuinfo",
      "processor\t: 0\nmodel name\t: Model  X @ 2.0GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n"
      "processor\t: 1\nmodel name\t: Model  X @ 2.0GHz\nphysical id\t: 0\ncore id\t\t: 0\n\n"
      "processor\t: 2\nmodel name\t: Model  X @ 2.0GHz\nphysical id\t: 1\ncore id\t\t: 0\n");
  const Processor processor = read_processor(folder_.path());
  EXPECT_EQ(processor.name, "Model  X @ 2.0GHz");
  EXPECT_EQ(processor.num_cores, 2);
  EXPECT_EQ(processor.num_threads, 3);
}

TEST_F(MachineTest, TellsAProcessorWithoutAFile) {
  const Processor processor = read_processor(folder_.path());
  EXPECT_EQ(processor.name, "unknown processor");
  EXPECT_EQ(processor.num_cores, 1);
}

TEST_F(MachineTest, TakesTheMemoryOfTheMachineWithoutAGroup) {
  put("proc/meminfo", "MemTotal:       1048576 kB\nMemFree: 5 kB\nMemAvailable:    524288 kB\n");
  const Memory memory = read_memory(folder_.path());
  EXPECT_EQ(memory.total, 1024 * kMiB);
  EXPECT_EQ(memory.available, 512 * kMiB);
  EXPECT_EQ(memory.limit, 0);
}

TEST_F(MachineTest, HonoursTheTightestGroupThatTheProcessIsIn) {
  put("proc/meminfo", "MemTotal:       1048576 kB\nMemAvailable:    524288 kB\n");
  put("proc/self/cgroup", "0::/a/b\n");
  put("sys/fs/cgroup/a/memory.max", "314572800\n");                        // 300 MiB
  put("sys/fs/cgroup/a/memory.current", "209715200\n");                    // 200 MiB,
  put("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 52428800\n");  // 50 of them to spare
  put("sys/fs/cgroup/a/b/memory.max", "max\n");
  put("sys/fs/cgroup/a/b/memory.current", "209715200\n");
  const Memory memory = read_memory(folder_.path());
  EXPECT_EQ(memory.limit, 300 * kMiB);
  EXPECT_EQ(memory.available, 150 * kMiB);
}

TEST_F(MachineTest, HonoursAGroupOfVersionOne) {
  put("proc/meminfo", "MemTotal:       1048576 kB\nMemAvailable:    524288 kB\n");
  put("proc/self/cgroup", "5:devices:/x\n4:memory:/c\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "104857600\n");
  put("sys/fs/cgroup/memory/c/memory.usage_in_bytes", "209715200\n");  // over it
  const Memory memory = read_memory(folder_.path());
  EXPECT_EQ(memory.limit, 100 * kMiB);
  EXPECT_EQ(memory.available, 0);
}

TEST_F(MachineTest, FindsNoGpuAmongOtherDevices) {
  put_pci("0000:00:00.0", "0x060000", "0x8086", "0x0d57");
  put_pci("0000:00:02.0", "0x018000", "0x1af4", "0x1042");
  EXPECT_THAT(gpus(), ElementsAre());
}

TEST_F(MachineTest, NamesGpusByDriverThenByTableThenByNumber) {
  put_pci("0000:65:00.0", "0x030200", "0x10de", "0x2331");
  put("sys/bus/pci/devices/0000:65:00.0/uevent", "DRIVER=nvidia\nPCI_CLASS=30200\n");
  put("proc/driver/nvidia/gpus/0000:65:00.0/information",
      "Model: \t\t NVIDIA H100 PCIe\nIRQ:   \t\t 100\n");
  put_pci("0000:03:00.0", "0x030000", "0x1002", "0x744c");
  put("sys/bus/pci/devices/0000:03:00.0/uevent", "DRIVER=amdgpu\n");
  put_pci("0000:04:00.0", "0x038000", "0xabcd", "0x0001");
  put("usr/share/misc/pci.ids",
      "# a comment\n1001  Another\n\t744c  Not this one\n"
      "1002  Advanced Micro Devices\n\t744c  Navi 31 [Radeon RX 7900]\n\t\t1002 0001  A board\n");
  EXPECT_THAT(gpus(), ElementsAre("AMD|Navi 31 [Radeon RX 7900]|0000:03:00.0|amdgpu",
                                  "vendor 0xabcd|device 0x0001|0000:04:00.0|",
                                  "NVIDIA|H100 PCIe|0000:65:00.0|nvidia"));
}

TEST_F(MachineTest, FindsCardsThatAreNotOnThePciBusAndCountsOthersOnce) {
  put_pci("0000:00:03.0", "0x030000", "0x1af4", "0x1050");
  put("devices/0000:00:03.0/virtio1/uevent", "DRIVER=virtio_gpu\n");
  put("devices/soc/gpu/uevent", "DRIVER=panfrost\nOF_NAME=gpu\n");
  for (const auto& [card, device] :
       {std::pair("card0", "0000:00:03.0/virtio1"), std::pair("card1", "soc/gpu"),
        std::pair("renderD128", "soc/gpu")}) {
    make_folders(folder_ / "sys/class/drm" / card);
    fs::create_directory_symlink(folder_ / "devices" / device,
                                 folder_ / "sys/class/drm" / card / "device");
  }
  EXPECT_THAT(gpus(), ElementsAre("Red Hat (virtio)|device 0x1050|0000:00:03.0|",
                                  "|panfrost|card1|panfrost"));
}

}  // namespace
}  // namespace dlm
