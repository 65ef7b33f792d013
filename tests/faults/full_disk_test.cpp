// A disk that is really full: a tmpfs of 64 MiB. Needs root; elsewhere it is skipped (exit code 77).
//   faults_full_disk [DIRECTORY]      there instead, in a small file system that nobody else uses
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/hash.hpp"
#include "object/check.hpp"
#include "object/local_store.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::tests;
namespace fs = std::filesystem;

namespace {

constexpr int kSkipped = 77;
constexpr std::uint64_t kMiB = 1 << 20;

/// Unmounts whatever happens.
class Mount {
 public:
  /// @param given  it is there already.
  Mount(std::string path, bool given) : path_(std::move(path)), given_(given) {
    if (given) return;
    fs::create_directory(path_);
    mounted_ = ::mount("tarn-test", path_.c_str(), "tmpfs", 0, "size=64m") == 0;
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  ~Mount() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  [[nodiscard]] bool mounted() const noexcept { return mounted_ || given_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t free_bytes() const { return fs::space(path_).available; }
  /// Somebody else takes what is left.
  void fill() const {
    std::ofstream file(path_ + "/foreign", std::ios::binary);
    const std::string piece(4096, 'x');
    while (file.write(piece.data(), static_cast<std::streamsize>(piece.size())).flush()) {
    }
  }
  void free() const { fs::remove(path_ + "/foreign"); }

 private:
  const std::string path_;
  const bool given_;
  bool mounted_ = false;
};

int failures = 0;
void check(bool good, const std::string& what) {
  if (good) return;
  std::printf("WRONG: %s\n", what.c_str());
  ++failures;
}
template <class T>
void works(const Result<T>& outcome, const std::string& what) {
  check(outcome.has_value(), what + ": " + (outcome ? std::string() : outcome.error().message));
}
/// @return whether it was done; if it was not, there must have been no space.
template <class T>
bool works_or_full(const Result<T>& outcome, const std::string& what, const std::string& disk) {
  if (outcome) return true;
  check(outcome.error().code == ErrorCode::no_space && outcome.error().message.find(disk) != std::string::npos,
        what + " gives another reason, or does not name the disk: " + outcome.error().message);
  return false;
}

std::vector<std::byte> body_of(const std::string& key) {
  std::vector<std::byte> bytes(key[0] == 'l' ? 3 * kMiB / 2 : 3000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(base::xxh3_64(key, i / 8) >> (i % 8 * 8));
  return bytes;
}

class FullDisk {
 public:
  explicit FullDisk(const Mount& mount) : mount_(mount), disk_(mount.path() + "/disk") {}

  void run() {
    open();
    works(store_->create_bucket("bucket", 1), "create bucket");
    fill_with("l");
    fill_with("s");
    const std::uint64_t sixteenth = fs::space(mount_.path()).capacity / 16;
    check(mount_.free_bytes() > sixteenth / 2 && mount_.free_bytes() < 2 * sixteenth, "a sixteenth is kept: " + std::to_string(mount_.free_bytes()));
    // The store itself is full.
    look("full");
    works(store_->flush(), "flush on a full disk");
    works(store_->close(), "close on a full disk");
    open();
    look("full and opened again");
    remove("l", 5);
    works(store_->flush(), "flush after removals");
    check(mount_.free_bytes() > sixteenth / 2 + 5 * kMiB, "space comes back");
    works(put("l-new"), "put after removals");
    // Somebody else takes the last byte.
    mount_.fill();
    check(mount_.free_bytes() < 64 * 1024, "no byte is free");  // some keep a few blocks for themselves
    check(!works_or_full(put("l-refused"), "put", disk_), "a large object goes nowhere");
    while (works_or_full(put("s-" + std::to_string(next_)), "put", disk_)) ++next_;  // what had been granted before
    if (works_or_full(store_->remove(0, {"bucket", keys_.back()}), "remove", disk_)) keys_.pop_back();
    read_all("not a byte free");
    works_or_full(store_->list("bucket", {}), "list", disk_);
    works_or_full(store_->flush(), "flush", disk_);
    works_or_full(store_->close(), "close", disk_);
    store_.reset();
    if (works_or_full(object::LocalStore::open({{disk_}}), "open", disk_)) {  // does not end the process
      open();
      read_all("opened with not a byte free");
    }
    mount_.free();
    if (!store_) open();
    works(put("s-after"), "put when there is space again");
    look("space again");
    check(store_->disks().front().trouble.empty(), "no trouble is left: " + store_->disks().front().trouble);
    works(store_->close(), "close at the end");
    store_.reset();
    const auto report = object::check_disk(disk_, {});
    check(report && report->healthy(), "the disk is healthy");
  }

 private:
  void open() {
    store_.reset();
    auto opened = object::LocalStore::open({{disk_}});
    works(opened, "open");
    if (!opened) std::exit(1);
    store_ = std::move(*opened);
  }
  Result<void> put(const std::string& key) {
    auto done = store_->put(0, {"bucket", key}, body_of(key), {});
    if (!done) return fail(done.error());
    keys_.insert(keys_.begin(), key);
    return {};
  }
  void fill_with(const std::string& prefix) {
    while (works_or_full(put(prefix + "-" + std::to_string(next_)), "put", disk_)) ++next_;
    check(next_ > 10, "some went in");
  }
  void remove(const std::string& prefix, int count) {
    for (auto at = keys_.begin(); at != keys_.end() && count > 0;) {
      if (at->rfind(prefix, 0) != 0) {
        ++at;
        continue;
      }
      works(store_->remove(0, {"bucket", *at}), "remove on a full disk");
      at = keys_.erase(at);
      --count;
    }
  }
  void read_all(const std::string& when) {
    for (const auto& key : keys_) {
      const auto got = store_->get(0, {"bucket", key});
      check(got && *got == body_of(key), when + ": " + key + (got ? " has other bytes" : ": " + got.error().message));
    }
  }
  void look(const std::string& when) {
    read_all(when);
    std::size_t listed = 0;
    works(store_->for_each("bucket", "", [&](const auto&) { return ++listed > 0; }), when + ": list");
    check(listed == keys_.size(), when + ": " + std::to_string(listed) + " objects listed of " + std::to_string(keys_.size()));
  }

  const Mount& mount_;
  const std::string disk_;
  std::unique_ptr<object::LocalStore> store_;
  std::vector<std::string> keys_;  // that are there
  int next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  ::setenv("TARN_LOG", "off", 0);
  const TemporaryDirectory temporary;
  const Mount mount(argc > 1 ? argv[1] : temporary.file("mount"), argc > 1);
  if (!mount.mounted()) {
    std::printf("skipped: a tmpfs cannot be mounted here (needs root)\n");
    return kSkipped;
  }
  FullDisk(mount).run();
  std::printf("%d wrong\n", failures);
  return failures == 0 ? 0 : 1;
}
