// scale_bench.cpp - one disk with millions of small objects: what they take of index, memory and time.
//
//   scale_bench [--objects N=2000000] [--bytes N=1024] [--key-bytes N=32] [--writers N=1] [--order random|sorted] [--tail N=32768] [--dir D=/tmp]
//   [--check]
//
// What fills, kills and opens the disk runs in child processes, so that each figure of memory is that of a process that does nothing
// else. --tail: objects that are in the volumes and not in the index when the disk is opened after a kill -9; more than twice
// limits::kIndexBatchRecordsMax cannot be. --check: a figure beyond its limit ends with status 1.
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "object/local_store.hpp"

using namespace tarn;

namespace {

struct Options {
  std::size_t objects = 2'000'000, bytes = 1024, key_bytes = 32, tail = 2 * limits::kIndexBatchRecordsMax, writers = 1;
  bool sorted = false, check = false;
  std::string base = "/tmp";
};

/// What is wanted of two million objects of 1 KiB with keys of ordinary length.
constexpr double kOpenSeconds = 1.0, kMemoryBytes = 200, kIndexBytes = 300, kListSeconds = 0.2;
constexpr std::size_t kListed = 100'000, kPage = 1000;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "scale_bench: %s\n", why.c_str());
  std::exit(1);
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

/// Resident memory of this process in bytes, "RssAnon" or "RssFile".
double resident(const std::string& kind) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(kind + ":", 0) == 0) return std::strtod(line.c_str() + kind.size() + 1, nullptr) * 1024;
  stop("no " + kind + " in /proc/self/status");
}

/// A limit of 0 is none.
class Table {
 public:
  void row(const char* what, double value, const char* unit, double limit = 0) {
    const bool over = limit > 0 && value > limit;
    failed_ |= over;
    std::printf("| %-58s | %10.3f %-16s | %s\n", what, value, unit, limit <= 0 ? "" : over ? "OVER THE LIMIT" : "within its limit");
    std::fflush(stdout);
  }
  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  bool failed_ = false;
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    directory_ = options.base + "/scale-bench-XXXXXX";
    if (::mkdtemp(directory_.data()) == nullptr) stop("cannot make " + directory_);
  }
  ~Bench() { std::filesystem::remove_all(directory_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  bool run() {
    std::printf("%zu objects of %zu bytes on one disk, keys of %zu bytes in %s order\n", options_.objects, options_.bytes, key_of(0).size(),
                options_.sorted ? "sorted" : "random");
    Table table;
    const auto child = [&](const std::function<void(Table&)>& work) {  // its rows count as ours
      if (in_child(table, work)) failed_ = true;
    };
    child([&](Table& rows) { fill(rows); });
    index_file(table);
    child([&](Table& rows) { open_clean(rows); });
    child([&](Table& rows) { list_all(rows); });
    killed();
    child([&](Table& rows) {
      rows.row("open after kill -9, the tail not in the index", open_time(), "s", kOpenSeconds);
      const auto disks = open_store(directory_)->disks();
      if (disks.front().objects != options_.objects + options_.tail) stop("objects are missing after the kill");
    });
    return !failed_ && !table.failed();
  }

 private:
  static bool in_child(Table& table, const std::function<void(Table&)>& work) {
    std::fflush(stdout);
    const pid_t pid = ::fork();
    if (pid == 0) {
      work(table);
      std::_Exit(table.failed() ? 1 : 0);
    }
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid) stop("cannot run a process");
    return status != 0;
  }

  /// Of 32 bytes or more; keys that share their beginning, as those of data sets do, and become longer at their end.
  [[nodiscard]] std::string key_of(std::size_t i) const {
    std::string key = "train/class-" + std::to_string(1000 + i % 1000) + "/image-" + std::to_string(100'000'000 + i);
    key.resize(std::max(key.size(), options_.key_bytes), 'x');
    return key;
  }

  [[nodiscard]] std::vector<std::size_t> order() const {
    std::vector<std::size_t> order(options_.objects);
    std::iota(order.begin(), order.end(), 0);
    if (options_.sorted)
      std::sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) { return key_of(a) < key_of(b); });
    else
      std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    return order;
  }

  void fill(Table& table) const {
    const std::vector<std::byte> body(options_.bytes, std::byte{42});
    const auto keys = order();
    auto store = open_store(directory_);
    if (!store->create_bucket("bucket", 1)) stop("no bucket");
    const double anon = resident("RssAnon"), file = resident("RssFile");
    const double seconds = seconds_of([&] {
      std::vector<std::thread> writers;
      for (std::size_t w = 0; w < options_.writers; ++w)
        writers.emplace_back([&, w] {
          for (std::size_t k = w; k < keys.size(); k += options_.writers)
            if (auto done = store->put(0, {"bucket", key_of(keys[k])}, body, {}); !done) stop(done.error().message);
        });
      for (auto& writer : writers) writer.join();
    });
    const double count = static_cast<double>(keys.size());
    table.row(options_.writers == 1 ? "put, 1 writer" : "put, several writers", count / seconds, "objects/s");
    (void)store->disks();  // commits
    table.row("memory of the process, after the puts", (resident("RssAnon") - anon) / count, "bytes/object", kMemoryBytes);
    table.row("the same, and the mapped index", (resident("RssAnon") - anon + resident("RssFile") - file) / count, "bytes/object");
    table.row("close", seconds_of([&] {
                if (auto closed = store->close(); !closed) stop(closed.error().message);
              }),
              "s");
  }

  void index_file(Table& table) const {
    struct stat status {};
    if (::stat((directory_ + "/index/data.mdb").c_str(), &status) != 0) stop("no index");
    table.row("index on the disk", static_cast<double>(status.st_blocks) * 512 / static_cast<double>(options_.objects), "bytes/object", kIndexBytes);
  }

  [[nodiscard]] double open_time() const {
    std::unique_ptr<object::LocalStore> store;
    const double seconds = seconds_of([&] { store = open_store(directory_); });
    if (!store->find(0, {"bucket", key_of(options_.objects / 2)})) stop("an object is missing");
    return seconds;
  }

  void open_clean(Table& table) const { table.row("open", open_time(), "s", kOpenSeconds); }

  void list_all(Table& table) const {
    const double anon = resident("RssAnon"), file = resident("RssFile");
    const auto store = open_store(directory_);
    const std::size_t wanted = std::min(kListed, options_.objects);
    std::size_t listed = 0;
    const double pages = seconds_of([&] {
      ListOptions list;
      list.max_keys = kPage;
      while (listed < wanted) {
        const auto page = store->list("bucket", list);
        if (!page) stop(page.error().message);
        listed += page->objects.size();
        if (!page->truncated) break;
        list.start_after = page->next_start_after;
      }
    });
    if (listed < wanted) stop("a listing is too short");
    table.row("list of 100,000 keys in pages of 1,000", pages, "s", kListSeconds);
    listed = 0;
    table.row("the same through for_each", seconds_of([&] { (void)store->for_each("bucket", {}, [&](const auto&) { return ++listed < wanted; }); }),
              "s", kListSeconds);
    for (std::size_t i = 0; i < options_.objects; ++i)
      if (!store->find(0, {"bucket", key_of(i)})) stop("an object is missing");
    const double count = static_cast<double>(options_.objects);
    table.row("memory of the process, opened and each object found", (resident("RssAnon") - anon) / count, "bytes/object", kMemoryBytes);
    table.row("the same, and the mapped index", (resident("RssAnon") - anon + resident("RssFile") - file) / count, "bytes/object");
  }

  /// Leaves a disk as a process does that is killed when its index is as far behind as it can be: the last puts are in a volume only.
  void killed() const {
    const std::string index = directory_ + "/index/data.mdb", before = directory_ + ".index";
    std::filesystem::copy_file(index, before, std::filesystem::copy_options::overwrite_existing);
    int ready[2];
    if (::pipe(ready) != 0) stop("no pipe");
    std::fflush(stdout);
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto store = open_store(directory_);
      const std::vector<std::byte> body(options_.bytes, std::byte{42});
      for (std::size_t i = 0; i < options_.tail; ++i)
        if (!store->put(0, {"bucket", key_of(options_.objects + i)}, body, {})) stop("put failed");
      (void)!::write(ready[1], "x", 1);
      ::pause();
    }
    char byte = 0;
    if (pid < 0 || ::read(ready[0], &byte, 1) != 1 || ::kill(pid, SIGKILL) != 0 || ::waitpid(pid, nullptr, 0) != pid) stop("cannot kill a process");
    ::close(ready[0]);
    ::close(ready[1]);
    std::filesystem::rename(before, index);
  }

  const Options options_;
  std::string directory_;
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (option == "--check") {
      options.check = true;
      continue;
    }
    if (option == "--objects") options.objects = std::strtoull(value, nullptr, 10);
    if (option == "--bytes") options.bytes = std::strtoull(value, nullptr, 10);
    if (option == "--key-bytes") options.key_bytes = std::strtoull(value, nullptr, 10);
    if (option == "--writers") options.writers = std::strtoull(value, nullptr, 10);
    if (option == "--tail") options.tail = std::strtoull(value, nullptr, 10);
    if (option == "--order") options.sorted = std::string_view(value) == "sorted";
    if (option == "--dir") options.base = value;
    ++i;
  }
  const bool good = Bench(options).run();
  return options.check && !good ? 1 : 0;
}
