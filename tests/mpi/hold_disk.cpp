// hold_disk.cpp - hold_disk DIRECTORY FLAG: uses a disk, as a job would, from when it makes the file FLAG until its standard input ends.
#include <cstdio>
#include <fstream>

#include "object/local_store.hpp"

int main(int argc, char* argv[]) {
  if (argc != 3) return 2;
  tarn::object::LocalStoreOptions options;
  options.directories = {argv[1]};
  const auto store = tarn::object::LocalStore::open(options);
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().message.c_str());
    return 1;
  }
  std::ofstream(argv[2]) << "x";
  while (std::getchar() != EOF) continue;
  return 0;
}
