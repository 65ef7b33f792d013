// committer.hpp - the thread that moves pending changes into the index, many per transaction.
// Level 2 (volume). Any thread may call; the thread ends in stop().
//
//   writers: wait_for_room() -> Appender::append (pending) -> wake()
//   thread:  sleeps while nothing is pending; then every kIndexCommitInterval, or at once when asked or full:
//            cut -> Index::commit -> Pending::clear -> dead solo volumes are removed (those of buckets with durability sync, and
//            those that are on stable storage, not before what replaced them is there too)
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <tarn/result.hpp>

#include "volume/appender.hpp"
#include "volume/index.hpp"
#include "volume/pending.hpp"

namespace tarn::volume {

class Committer {
 public:
  /// Both are called on the committer's thread: `remove_volume` for each solo volume that nothing points to any more,
  /// `garbage_grew` after a commit that made some.
  Committer(Index& index, Appender& appender, Pending& pending, std::function<void(std::uint64_t)> remove_volume, std::function<void()> garbage_grew);
  ~Committer();

  /// Blocks while too much is pending: back-pressure. @errors why the index cannot be written.
  [[nodiscard]] Result<void> wait_for_room();
  /// To be called after each change. @cost nearly nothing when the thread is awake.
  void wake();
  /// Everything that is pending now is in the index when it returns.
  [[nodiscard]] Result<void> commit_all();
  /// Commits what is left and ends the thread.
  [[nodiscard]] Result<void> stop();
  /// Why the last commit failed; empty: it did not.
  [[nodiscard]] std::string trouble() const;

 private:
  void run();
  [[nodiscard]] Result<void> try_commit() noexcept;
  [[nodiscard]] Result<void> commit_once();

  Index& index_;
  Appender& appender_;
  Pending& pending_;
  const std::function<void(std::uint64_t)> remove_volume_;
  const std::function<void()> garbage_grew_;
  void remove_dead();
  std::optional<Appender::Cut> unfinished_;  // of the thread: its commit failed and is tried again
  std::vector<Extent> dead_;                 // of the thread: of the last commit, still to be looked through
  bool dead_are_sync_ = false;               // of the thread: one of that commit's changes was in a bucket with durability sync
  std::vector<std::uint64_t> dead_volumes_;  // of the thread: nothing points to them any more
  bool sync_first_ = false;                  // of the thread: what replaced one of them must be on stable storage before it goes

  std::atomic<bool> awake_{false};
  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable wake_, done_;
  std::uint64_t requested_ = 0, started_ = 0, finished_ = 0;  // commits, counted
  bool stopping_ = false;
  std::optional<Error> trouble_;
  std::thread thread_;
};

}  // namespace tarn::volume
