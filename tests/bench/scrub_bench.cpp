// scrub_bench.cpp - `tarn check` of a disk against `cat` of the same volumes, in turn, warm page cache.
//
//   scrub_bench [--rounds N] [--mib N] [--dir D] [--object BYTES]
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hash.hpp"
#include "object/check.hpp"
#include "object/local_store.hpp"

using namespace tarn;

namespace {

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

template <class Work>
double seconds_of(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void fill(const std::string& disk, std::size_t object_bytes, std::size_t total_bytes) {
  object::LocalStoreOptions options;
  options.directories = {disk};
  options.volume_bytes_max = 256 << 20;
  auto store = object::LocalStore::open(options);
  if (!store || !(*store)->create_bucket("bucket", 1)) stop("cannot open a store");
  std::vector<std::byte> body(object_bytes);
  for (std::size_t i = 0; i + 8 <= body.size(); i += 8) {
    const std::uint64_t word = base::xxh3_64(std::string_view("body"), i);
    std::memcpy(body.data() + i, &word, 8);
  }
  for (std::size_t i = 0; i < total_bytes / object_bytes; ++i) {
    const std::string key = "train/class-" + std::to_string(i * 7919 % 100) + "/image-" + std::to_string(1'000'000 + i) + ".jpg";
    if (!(*store)->put(0, {"bucket", key}, body, {})) stop("put failed");
  }
  if (!(*store)->close()) stop("close failed");
}

void measure(const std::string& directory, std::size_t object_bytes, std::size_t total_bytes, int rounds) {
  const std::string disk = directory + "/disk";
  std::filesystem::remove_all(disk);
  fill(disk, object_bytes, total_bytes);
  const auto cat = [&] {
    if (std::system(("cat " + disk + "/volumes/*.tar > /dev/null").c_str()) != 0) stop("cat failed");
  };
  const auto check = [&] {
    const auto report = object::check_disk(disk, {});
    if (!report || !report->healthy()) stop("the disk is not healthy");
  };
  cat();
  std::vector<double> ratios;
  double ours = 0;
  for (int round = 0; round < rounds; ++round) {
    double theirs = 0;
    if (round % 2 == 0) theirs = seconds_of(cat);
    ours = seconds_of(check);
    if (round % 2 != 0) theirs = seconds_of(cat);
    ratios.push_back(theirs / ours);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("| %12zu | %6.2f | %6.2f | %6.2f | %6.2f |\n", object_bytes, ratios.front(), ratios[ratios.size() / 2], ratios.back(),
              static_cast<double>(total_bytes) / ours / 1e9);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 7;
  std::size_t mib = 1024;
  std::string base = "/tmp";
  std::vector<std::size_t> sizes = {10UL << 10, 100UL << 10, 4UL << 20, 64UL << 20};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--rounds") rounds = std::atoi(argv[i + 1]);
    if (option == "--mib") mib = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--object") sizes = {std::strtoull(argv[i + 1], nullptr, 10)};
    if (option == "--dir") base = argv[i + 1];
  }
  std::string directory = base + "/scrub-bench-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) stop("cannot make " + directory);
  std::printf("%zu MiB, %d rounds; ratio = time of cat / time of check_disk\n\n", mib, rounds);
  std::printf("| object bytes | %6s | %6s | %6s | %6s |\n|---|---|---|---|---|\n", "min", "median", "max", "GB/s");
  for (const std::size_t size : sizes) measure(directory, size, mib << 20, rounds);
  std::filesystem::remove_all(directory);
  return 0;
}
