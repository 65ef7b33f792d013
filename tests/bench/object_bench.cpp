// object_bench.cpp - LocalStore against what a program does without it: one file per object.
//
// Every round measures all contenders once, one after the other on the same file system, so that what disturbs the
// machine disturbs all of them; what counts is the ratio of a round. Warm page cache, 10 KiB objects.
//
//   object_bench [--rounds N] [--objects N] [--dir D]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "object/local_store.hpp"

using namespace tarn;

namespace {

constexpr std::size_t kBytes = 10 * 1024;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void in_threads(unsigned threads, std::size_t count, const std::function<void(std::size_t)>& each) {
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      for (std::size_t i = t; i < count; i += threads) each(i);
    });
  for (auto& worker : workers) worker.join();
}

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

std::string key_of(std::size_t i) {
  return "train/class-" + std::to_string(i % 100) + "/image-" + std::to_string(1'000'000 + i) + ".jpg";
}
std::string file_of(const std::string& directory, std::size_t i) {
  return directory + "/class-" + std::to_string(i % 100) + "/image-" + std::to_string(1'000'000 + i) + ".jpg";
}

void write_file(const std::string& path, const std::vector<std::byte>& body) {
  const std::string temporary = path + ".tmp";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0 || ::write(fd, body.data(), body.size()) != static_cast<ssize_t>(body.size())) stop("cannot write " + temporary);
  ::close(fd);
  if (::rename(temporary.c_str(), path.c_str()) != 0) stop("cannot rename " + temporary);
}

std::vector<std::byte> read_file(const std::string& path) {
  std::vector<std::byte> body(kBytes);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::read(fd, body.data(), body.size()) != static_cast<ssize_t>(body.size())) stop("cannot read " + path);
  ::close(fd);
  return body;
}

struct Ratio {
  std::string what;
  std::vector<double> values;
  double rate = 0;  // objects per second of ours, in the last round

  void print() {
    std::sort(values.begin(), values.end());
    std::printf("| %-58s | %6.2f | %6.2f | %6.2f | %9.0f |\n", what.c_str(), values.front(), values[values.size() / 2], values.back(), rate);
  }
};

class Bench {
 public:
  Bench(std::string directory, std::size_t objects, int rounds) : directory_(std::move(directory)), objects_(objects), rounds_(rounds) {}

  void run() {
    std::printf("%zu objects of 10 KiB, %d rounds; ratio = time of the other / time of LocalStore\n\n", objects_, rounds_);
    std::printf("| %-58s | %6s | %6s | %6s | %9s |\n|---|---|---|---|---|\n", "LocalStore against", "min", "median", "max", "objects/s");
    std::vector<Ratio> ratios{{"put, 1 writer: one file per object", {}},          {"put, 4 writers: one file per object", {}},
                              {"get, 1 reader: open + read + close", {}},          {"get, 4 readers: open + read + close", {}},
                              {"get, 1 reader: bare pread at a known offset", {}}, {"put 64 MiB: write to a file", {}}};
    for (int round = 0; round < rounds_; ++round) run_round(round, ratios);
    for (auto& ratio : ratios) ratio.print();
  }

 private:
  void run_round(int round, std::vector<Ratio>& ratios) {
    for (const unsigned threads : {1U, 4U}) {
      const std::string files = fresh("files");
      for (int c = 0; c < 100; ++c) std::filesystem::create_directory(files + "/class-" + std::to_string(c));
      object::LocalStoreOptions options;
      options.directories = {fresh("store")};
      auto store = object::LocalStore::open(options);
      if (!store || !(*store)->create_bucket("bucket", 1)) stop("cannot open a store");
      double ours = 0, theirs = 0;
      const auto put_ours = [&] {
        ours = seconds_of([&] { in_threads(threads, objects_, [&](std::size_t i) { put(**store, key_of(i), body_); }); });
      };
      const auto put_theirs = [&] {
        theirs = seconds_of([&] { in_threads(threads, objects_, [&](std::size_t i) { write_file(file_of(files, i), body_); }); });
      };
      alternate(round, put_ours, put_theirs);
      note(ratios[threads == 1 ? 0 : 1], theirs, ours);

      std::vector<std::size_t> order(objects_);
      for (std::size_t i = 0; i < objects_; ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), std::mt19937(1));
      const auto get_ours = [&] {
        ours = seconds_of([&] { in_threads(threads, objects_, [&](std::size_t i) { get(**store, key_of(order[i])); }); });
      };
      const auto get_theirs = [&] {
        theirs = seconds_of([&] { in_threads(threads, objects_, [&](std::size_t i) { (void)read_file(file_of(files, order[i])); }); });
      };
      alternate(round, get_ours, get_theirs);
      note(ratios[threads == 1 ? 2 : 3], theirs, ours);
      if (threads == 1) {
        note(ratios[4], bare_pread(**store, order), ours);
        put_large(**store, round, ratios[5]);
      }
    }
  }

  double bare_pread(const object::LocalStore& store, const std::vector<std::size_t>& order) {
    std::vector<std::pair<std::shared_ptr<const base::File>, std::uint64_t>> places;
    for (const std::size_t i : order) {
      const auto found = store.find(0, {"bucket", key_of(i)});
      places.emplace_back(*store.volume_file(0, found->extents.front().volume), found->extents.front().offset);
    }
    return seconds_of([&] {
      for (const auto& [file, offset] : places) {
        std::vector<std::byte> body(kBytes);
        if (::pread(file->descriptor(), body.data(), body.size(), static_cast<off_t>(offset)) != static_cast<ssize_t>(kBytes)) stop("pread");
      }
    });
  }

  void put_large(object::LocalStore& store, int round, Ratio& ratio) {
    const std::vector<std::byte> body(64 << 20, std::byte{7});
    double ours = 0, theirs = 0;
    alternate(
        round, [&] { ours = seconds_of([&] { put(store, "large", body); }); },
        [&] { theirs = seconds_of([&] { write_file(directory_ + "/large", body); }); });
    note(ratio, theirs, ours);
    ratio.rate = 1 / ours;
  }

  static void alternate(int round, const std::function<void()>& a, const std::function<void()>& b) {
    if (round % 2 == 0) {
      a();
      b();
    } else {
      b();
      a();
    }
  }
  void note(Ratio& ratio, double theirs, double ours) const {
    ratio.values.push_back(theirs / ours);
    ratio.rate = static_cast<double>(objects_) / ours;
  }
  static void put(object::LocalStore& store, const std::string& key, const std::vector<std::byte>& body) {
    if (!store.put(0, {"bucket", key}, body, {})) stop("put failed");
  }
  static void get(const object::LocalStore& store, const std::string& key) {
    const auto body = store.get(0, {"bucket", key});
    if (!body || body->size() != kBytes) stop("get failed");
  }
  std::string fresh(const std::string& name) {
    const std::string path = directory_ + "/" + name;
    std::filesystem::remove_all(path);
    std::filesystem::create_directory(path);
    return path;
  }

  const std::string directory_;
  const std::size_t objects_;
  const int rounds_;
  const std::vector<std::byte> body_ = std::vector<std::byte>(kBytes, std::byte{42});
};

}  // namespace

int main(int argc, char** argv) {
  std::size_t objects = 20'000;
  int rounds = 7;
  std::string base = "/tmp";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    if (option == "--rounds") rounds = std::atoi(argv[i + 1]);
    if (option == "--objects") objects = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--dir") base = argv[i + 1];
  }
  std::string directory = base + "/object-bench-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) stop("cannot make " + directory);
  Bench(directory, objects, rounds).run();
  std::filesystem::remove_all(directory);
  return 0;
}
