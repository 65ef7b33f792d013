// presence.hpp - which ranks still answer: asked only while somebody waits for all of them in a collective call.
// Level 6 (mpi). heard(), on_tick(): the engine's thread. A Wait: its own thread.
//
//   wait --limit/4--> ping those who are silent --limit/4--> ... --> silent for a whole limit of this wait: lost; all are told
//
// Who is told ends its waits as well: it would wait for ranks that have given up, among them the one that was only slow.
//
// A service thread answers a ping whatever its application does, so a rank that is late in a collective is not lost. Ranks without a
// service thread answer when their application calls; nothing can be said about them, and they are waited for without limit.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "mpi/caller.hpp"
#include "mpi/event.hpp"
#include "mpi/peer_service.hpp"

namespace tarn::mpi {

class Presence {
 public:
  Presence(Caller& caller, RankId self, int ranks);

  void add_to(PeerService& service);
  /// Which ranks have a service thread. Before the first Wait.
  void set_answering(std::vector<bool> ranks) { answering_ = std::move(ranks); }

  /// A message of this rank has come.
  void heard(RankId source) noexcept;
  void on_tick(Clock::time_point now) noexcept { engine_turned_.store(now); }

  /// One wait for all other ranks.
  class Wait {
   public:
    explicit Wait(Presence& ranks);
    [[nodiscard]] Clock::time_point next_look() const noexcept { return looked_ + ranks_.interval_; }
    /// Pings who is silent. @errors rank_lost: with the ranks that have not answered for the time limit, here or elsewhere.
    [[nodiscard]] Result<void> look();

   private:
    Presence& ranks_;
    Clock::time_point begun_, looked_;
  };

 private:
  [[nodiscard]] std::optional<Error> told();
  void tell_all(const Error& lost);
  [[nodiscard]] Error lost(const std::vector<RankId>& ranks) const;

  Caller& caller_;
  const RankId self_;
  const std::chrono::milliseconds limit_;
  const std::chrono::milliseconds interval_;
  std::vector<bool> answering_;
  std::vector<std::atomic<Clock::time_point>> heard_;  // by rank: when last
  std::atomic<Clock::time_point> engine_turned_;
  std::mutex mutex_;           // guards told_
  std::optional<Error> told_;  // another rank has found one lost
};

}  // namespace tarn::mpi
