// thread_ranks.hpp - ranks as threads of one process: Collectives without MPI, for tests of what is written against them.
// Each rank runs the same function; a rank that throws or returns early while others wait ends the program after a
// minute, so functions under test must end in agreement, as they do on MPI.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "mpi/collectives.hpp"

namespace tarn::tests {

/// Where the ranks meet: each brings bytes, all see everybody's.
class ThreadMeeting {
 public:
  explicit ThreadMeeting(int ranks) : ranks_(ranks), table_(static_cast<std::size_t>(ranks)) {}

  /// What rank r brought for everybody: [r][to], as many entries as it brought.
  using Table = std::vector<std::vector<std::vector<std::byte>>>;
  Table meet(int rank, std::vector<std::vector<std::byte>> mine) {
    std::unique_lock lock(mutex_);
    wait(lock, [&] { return leaving_ == 0; });
    table_[static_cast<std::size_t>(rank)] = std::move(mine);
    if (++arrived_ == ranks_) {
      leaving_ = ranks_;
      arrived_ = 0;
      changed_.notify_all();
    } else {
      const auto meeting = meetings_;
      wait(lock, [&] { return meetings_ != meeting || leaving_ != 0; });
    }
    Table copy = table_;
    if (--leaving_ == 0) {
      ++meetings_;
      changed_.notify_all();
    } else {  // nobody may come again before all have left
      const auto meeting = meetings_;
      wait(lock, [&] { return meetings_ != meeting; });
    }
    return copy;
  }
  [[nodiscard]] int ranks() const noexcept { return ranks_; }

 private:
  template <class Condition>
  void wait(std::unique_lock<std::mutex>& lock, Condition condition) {
    if (changed_.wait_for(lock, std::chrono::seconds(60), condition)) return;
    std::fputs("a rank waits for others that do not come\n", stderr);
    std::abort();
  }

  const int ranks_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Table table_;
  int arrived_ = 0, leaving_ = 0;
  std::uint64_t meetings_ = 0;
};

class ThreadCollectives final : public mpi::Collectives {
 public:
  ThreadCollectives(ThreadMeeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}

  [[nodiscard]] RankId rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return meeting_.ranks(); }
  Result<void> barrier() override {
    (void)meeting_.meet(rank_, {});
    return {};
  }
  Result<void> agree(Result<void> mine) override {
    std::vector<std::byte> note;
    if (!mine) {
      note.push_back(static_cast<std::byte>(mine.error().code));
      note.push_back(static_cast<std::byte>(mine.error().rank < 0 ? rank_ : mine.error().rank));
      const auto text = std::as_bytes(std::span(mine.error().message.data(), mine.error().message.size()));
      note.insert(note.end(), text.begin(), text.end());
    }
    const auto table = meeting_.meet(rank_, {note});
    for (int r = 0; r < size(); ++r) {
      const auto& theirs = table[static_cast<std::size_t>(r)][0];
      if (!theirs.empty())
        return fail(static_cast<ErrorCode>(theirs[0]), std::string(reinterpret_cast<const char*>(theirs.data()) + 2, theirs.size() - 2),
                    static_cast<int>(theirs[1]));
    }
    return {};
  }
  Result<void> all_reduce_sum(std::span<std::uint64_t> values) override {
    return reduce(values, [](std::uint64_t a, std::uint64_t b) { return a + b; });
  }
  Result<void> all_reduce_max(std::span<std::uint64_t> values) override {
    return reduce(values, [](std::uint64_t a, std::uint64_t b) { return std::max(a, b); });
  }
  Result<std::uint64_t> exclusive_scan_sum(std::uint64_t value) override {
    std::uint64_t sum = 0;
    const auto table = meeting_.meet(rank_, {bytes_of(std::span(&value, 1))});
    for (int r = 0; r < rank_; ++r) sum += numbers_of(table[static_cast<std::size_t>(r)][0])[0];
    return sum;
  }
  Result<std::vector<std::vector<std::byte>>> all_gather(std::span<const std::byte> mine) override {
    auto table = meeting_.meet(rank_, {std::vector<std::byte>(mine.begin(), mine.end())});
    std::vector<std::vector<std::byte>> all;
    for (auto& entry : table) all.push_back(std::move(entry[0]));
    return all;
  }
  Result<std::vector<std::byte>> broadcast(RankId root, std::span<const std::byte> bytes) override {
    return meeting_.meet(rank_, {std::vector<std::byte>(bytes.begin(), bytes.end())})[static_cast<std::size_t>(root)][0];
  }
  Result<std::vector<std::vector<std::byte>>> exchange(std::vector<std::vector<std::byte>> to_each) override {
    auto table = meeting_.meet(rank_, std::move(to_each));
    std::vector<std::vector<std::byte>> received;
    for (auto& entry : table) received.push_back(std::move(entry[static_cast<std::size_t>(rank_)]));
    return received;
  }

 private:
  static std::vector<std::byte> bytes_of(std::span<const std::uint64_t> values) {
    const auto bytes = std::as_bytes(values);
    return {bytes.begin(), bytes.end()};
  }
  static std::vector<std::uint64_t> numbers_of(const std::vector<std::byte>& bytes) {
    std::vector<std::uint64_t> values(bytes.size() / sizeof(std::uint64_t));
    std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(values)).begin());
    return values;
  }
  template <class Combine>
  Result<void> reduce(std::span<std::uint64_t> values, Combine combine) {
    const auto table = meeting_.meet(rank_, {bytes_of(values)});
    std::vector<std::uint64_t> sums(values.size(), 0);
    for (const auto& entry : table) {
      const auto theirs = numbers_of(entry[0]);
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = combine(sums[i], theirs[i]);
    }
    std::copy(sums.begin(), sums.end(), values.begin());
    return {};
  }

  ThreadMeeting& meeting_;
  const int rank_;
};

/// Runs `body` on every rank, each in a thread of its own, and waits for all.
inline void run_ranks(int ranks, const std::function<void(mpi::Collectives&)>& body) {
  ThreadMeeting meeting(ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      ThreadCollectives collectives(meeting, r);
      body(collectives);
    });
  for (auto& thread : threads) thread.join();
}

}  // namespace tarn::tests
