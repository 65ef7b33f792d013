// write_bench.cpp - sequential puts of 64 MiB beside `dd` with the same durability, and how much is written for what is put.
//
//   write_bench [--rounds N=7] [--dir D=/tmp]
//
// `dd` runs as a program of its own that reads zeros, as people run it; what is put is in memory. Both are timed from outside, in turn,
// on one file system. Durability none: neither syncs. Durability sync: dd with conv=fdatasync, the store in a bucket of that durability.
// Write amplification is counted twice, up to a flush: what is handed to the file system (/proc/self/io, wchar), and the pages that
// have to go to the disk for it (write_bytes: whole ones, and one that is written again before it has gone counts once). Both
// hold the index, whose changed pages LMDB writes anew with each batch.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "object/local_store.hpp"

using namespace tarn;

namespace {

constexpr std::size_t kLarge = 64 << 20;
constexpr int kLargeObjects = 4;  // of a measurement

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "write_bench: %s\n", why.c_str());
  std::exit(1);
}
void need(const Result<void>& done) {
  if (!done) stop(done.error().message);
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::unique_ptr<object::LocalStore> open_store(const std::string& directory) {
  object::LocalStoreOptions options;
  options.directories = {directory};
  auto store = object::LocalStore::open(options);
  if (!store) stop(store.error().message);
  return std::move(*store);
}

void put(object::LocalStore& store, const std::string& bucket, const std::string& key, const std::vector<std::byte>& body) {
  if (const auto done = store.put(0, {bucket, key}, body, {}); !done) stop(done.error().message);
}

void run_dd(const std::string& target, bool sync) {
  const std::string output = "of=" + target, flag = "conv=fdatasync";
  const std::vector<const char*> arguments{"dd",   "if=/dev/zero", output.c_str(), "bs=64M", "count=1", "status=none", sync ? flag.c_str() : nullptr,
                                           nullptr};
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execvp("dd", const_cast<char* const*>(arguments.data()));
    std::_Exit(127);
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || status != 0) stop("dd failed");
}

double io_count(const std::string& name) {
  std::ifstream file("/proc/self/io");
  for (std::string line; std::getline(file, line);)
    if (line.rfind(name + ":", 0) == 0) return std::strtod(line.c_str() + name.size() + 1, nullptr);
  stop("no " + name + " in /proc/self/io");
}

class Bench {
 public:
  Bench(const std::string& base, int rounds) : directory_(base + "/write-bench-XXXXXX"), rounds_(rounds) {
    if (::mkdtemp(directory_.data()) == nullptr) stop("cannot make " + directory_);
  }
  ~Bench() { std::filesystem::remove_all(directory_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void run() {
    std::printf("| %-58s | %6s | %6s | %6s | %9s |\n|---|---|---|---|---|\n", "puts of 64 MiB: time of dd / time of LocalStore", "min", "median",
                "max", "MiB/s");
    compare_with_dd(false, "durability none, dd");
    compare_with_dd(true, "durability sync, dd conv=fdatasync");
    std::printf("\n| %-58s | %14s | %14s |\n|---|---|---|\n", "write amplification: bytes written / bytes put", "to the files", "to the disk");
    for (const auto& [size, count] : {std::pair<std::size_t, std::size_t>{1024, 200'000}, {10 * 1024, 50'000}, {1 << 20, 500}, {kLarge, 8}})
      amplification(size, count);
  }

 private:
  void compare_with_dd(bool sync, const char* what) {
    const auto store = open_store(fresh());
    need(store->create_bucket("bucket", 1, {sync ? Durability::sync : Durability::none}));
    const std::vector<std::byte> body(kLarge, std::byte{0});
    std::vector<double> ratios;
    double ours = 0, theirs = 0;
    const auto put_ours = [&] {
      ours = seconds_of([&] {
        for (int i = 0; i < kLargeObjects; ++i) put(*store, "bucket", std::to_string(i), body);
      });
      for (int i = 0; i < kLargeObjects; ++i) need(store->remove(0, {"bucket", std::to_string(i)}));
      need(store->flush());  // so that both find the disk idle
    };
    const auto put_theirs = [&] {
      theirs = seconds_of([&] {
        for (int i = 0; i < kLargeObjects; ++i) run_dd(directory_ + "/dd-" + std::to_string(i), sync);
      });
      for (int i = 0; i < kLargeObjects; ++i) std::filesystem::remove(directory_ + "/dd-" + std::to_string(i));
    };
    for (int round = 0; round < rounds_; ++round) {
      round % 2 == 0 ? put_ours() : put_theirs();
      round % 2 == 0 ? put_theirs() : put_ours();
      ratios.push_back(theirs / ours);
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("| %-58s | %6.2f | %6.2f | %6.2f | %9.0f |\n", what, ratios.front(), ratios[ratios.size() / 2], ratios.back(),
                kLargeObjects * 64 / ours);
    std::fflush(stdout);
  }

  void amplification(std::size_t size, std::size_t count) {
    std::vector<std::size_t> order(count);
    for (std::size_t i = 0; i < count; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    const std::vector<std::byte> body(size, std::byte{42});
    const auto store = open_store(fresh());
    need(store->create_bucket("bucket", 1));
    need(store->flush());
    const double handed = io_count("wchar"), written = io_count("write_bytes");
    for (const std::size_t i : order) put(*store, "bucket", "train/class-" + std::to_string(i % 1000) + "/image-" + std::to_string(i) + ".jpg", body);
    need(store->flush());
    const double payload = static_cast<double>(size) * static_cast<double>(count);
    const std::string what = std::to_string(count) + " objects of " + std::to_string(size / 1024) + " KiB, keys in random order";
    std::printf("| %-58s | %14.3f | %14.3f |\n", what.c_str(), (io_count("wchar") - handed) / payload, (io_count("write_bytes") - written) / payload);
    std::fflush(stdout);
  }

  std::string fresh() {
    const std::string path = directory_ + "/store";
    std::filesystem::remove_all(path);
    return path;
  }

  std::string directory_;
  const int rounds_;
};

}  // namespace

int main(int argc, char** argv) {
  int rounds = 7;
  std::string base = "/tmp";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--rounds") rounds = std::atoi(argv[i + 1]);
    if (option == "--dir") base = argv[i + 1];
  }
  Bench(base, rounds).run();
  return 0;
}
