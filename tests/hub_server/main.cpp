// hub_server FOLDER REPOSITORY: serves the files of a folder as a model hub on loopback, prints its
// address, and ends with its standard input. For trying other programs against it.
#include <cstdio>
#include <filesystem>

#include "hub_server.h"
#include "support/file.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: hub_server FOLDER REPOSITORY\n", stderr);
    return 2;
  }
  dlm::HubServer::Files files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    const std::string name = entry.path().filename().string();
    files[name] = {dlm::read_file(entry.path(), size_t{8} << 30), name.ends_with(".safetensors")};
  }
  const dlm::HubServer server(argv[2], std::move(files));
  std::printf("%s\n", server.url().c_str());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
}
