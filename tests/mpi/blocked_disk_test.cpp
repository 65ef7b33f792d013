// blocked_disk_test.cpp - a disk that does not answer: who asks for what is on it waits, and nobody else.
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "mpi/mpi_test.hpp"
#include "mpi/open_when.hpp"
#include "mpi/worker_pool.hpp"
#include "support/forwarding_file_system.hpp"

using namespace tarn;
using namespace tarn::tests;

namespace {

/// Reads of one file wait until it is let go.
class BlockedFileSystem final : public ForwardingFileSystem {
 public:
  ~BlockedFileSystem() override { block(""); }
  /// "": everything goes on.
  void block(const std::string& path) {
    const std::lock_guard lock(mutex_);
    path_ = path;
    changed_.notify_all();
  }
  /// Whether so many reads wait, or come to it within a minute.
  bool wait_for(std::size_t reads) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return waiting_ == reads; });
  }

  Result<std::unique_ptr<base::File>> open(const std::string& path, base::OpenMode mode, mode_t permissions) override {
    auto file = ForwardingFileSystem::open(path, mode, permissions);
    if (!file) return file;
    return std::make_unique<BlockedFile>(std::move(*file), *this);
  }

 private:
  class BlockedFile final : public ForwardingFile {
   public:
    BlockedFile(std::unique_ptr<base::File> real, BlockedFileSystem& owner) : ForwardingFile(std::move(real)), owner_(owner) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> target) const override {
      owner_.pass(path());
      return ForwardingFile::read_at(offset, target);
    }

   private:
    BlockedFileSystem& owner_;
  };
  void pass(const std::string& path) {
    std::unique_lock lock(mutex_);
    if (path != path_) return;
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return path != path_; });
    --waiting_;
  }

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::string path_;
  std::size_t waiting_ = 0;
};

std::string largest_volume(const std::string& disk) {
  std::filesystem::directory_entry largest;
  for (const auto& file : std::filesystem::directory_iterator(disk + "/volumes"))
    if (!largest.exists() || file.file_size() > largest.file_size()) largest = file;
  return largest.path().string();
}

}  // namespace

TEST_CASE("Service: a disk that does not answer delays who asks for what is on it, up to as many as there are threads", "[service]") {
  int level = 0;
  MPI_Query_thread(&level);
  if (world_size() < 3 || world_size() > 5 || level != MPI_THREAD_MULTIPLE) return;
  SharedDirectory directory;
  BlockedFileSystem files;
  auto options = test_options(directory);
  options.node_id_from_rank = true;  // a neighbour would read the volume itself
  auto opened = mpi::open_when({}, MPI_COMM_WORLD, options, files);
  REQUIRE(failure(opened) == "");
  Store store = std::move(*opened);
  if (world_rank() == 0) REQUIRE(failure(store.create_bucket("data")) == "");
  meet(store);
  const auto on = [&](const std::string& stem, RankId rank) { return ObjectName{"data", key_on(store, "data", stem, rank)}; };
  const ObjectName stuck = on("stuck", 1), small = on("small", 1), large = on("large", 1), fresh = on("fresh", 1), elsewhere = on("elsewhere", 2);
  if (world_rank() == 0) {
    REQUIRE(failure(store.put(stuck, test_bytes(5 << 20, 1))) == "");
    REQUIRE(failure(store.put(small, test_bytes(1000, 2))) == "");
    REQUIRE(failure(store.put(large, test_bytes(3 << 20, 3))) == "");
    REQUIRE(failure(store.put(elsewhere, test_bytes(3 << 20, 4))) == "");
  }
  meet(store);
  const auto use_elsewhere = [&] {
    CHECK((store.get(elsewhere).value() == test_bytes(3 << 20, 4)));
    CHECK(failure(store.put({"data", on("own" + std::to_string(world_rank()), 2).key}, test_bytes(70'000, 5))) == "");
  };
  const auto use_the_same_rank = [&] {
    CHECK(store.head(small).value().size_bytes == 1000);
    CHECK(store.head(stuck).value().size_bytes == 5 << 20);
    CHECK((store.get(small).value() == test_bytes(1000, 2)));
    CHECK((store.get(large).value() == test_bytes(3 << 20, 3)));
    if (world_rank() == 2) CHECK(failure(store.put(fresh, test_bytes(70'000, 6))) == "");
  };

  // All threads of rank 1 but one, then all of them.
  for (const std::size_t callers : {mpi::kDataThreadsMax - 1, mpi::kDataThreadsMax}) {
    INFO(callers << " callers");
    const std::string volume = directory.path() + "/disk-1";
    if (world_rank() == 1) files.block(largest_volume(volume));
    meet(store);
    std::atomic<int> ended{0}, wrong{0};
    std::vector<std::thread> threads;
    const auto ask = [&](const std::function<bool()>& request) {
      threads.emplace_back([&, request] {
        if (!request()) ++wrong;
        ++ended;
      });
    };
    if (world_rank() == 0)
      for (std::size_t i = 0; i < callers; ++i) ask([&, i] { return store.get(stuck, ByteRange{i << 18, 50'000}).has_value(); });
    if (world_rank() == 1) CHECK(files.wait_for(callers));
    meet(store);
    const bool one_left = callers < mpi::kDataThreadsMax;
    if (one_left) use_the_same_rank();
    if (!one_left && world_rank() == 2) ask([&] { return store.head(small).has_value(); });
    use_elsewhere();
    CHECK(ended == 0);
    meet(store);
    if (world_rank() == 1) {
      CHECK(files.wait_for(callers));
      files.block("");
    }
    for (auto& thread : threads) thread.join();  // it goes on: all are answered
    CHECK(wrong == 0);
    meet(store);
  }
  REQUIRE(failure(store.close()) == "");
}
