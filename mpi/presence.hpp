// presence.hpp - which ranks still answer: asked only while somebody waits for all of them in a collective call.
// Level 6 (mpi). heard(), on_tick(): the engine's thread. A Wait: its own thread. give_up(): any thread.
//
//   wait --limit/4--> ping those who are silent --limit/4--> ... --> silent for a whole limit of this wait: lost; all are told
//
// Who is told ends its waits as well: it would wait for ranks that have given up, among them the one that was only slow.
// A rank that cannot go on in a collective call, for lack of memory or because MPI refuses, tells all too: it still answers pings.
//
// A service thread answers a ping whatever its application does, so a rank that is late in a collective is not lost. Ranks without a
// service thread answer when their application calls; nothing can be said about them, and they are waited for without limit.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string_view>
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
  /// Goes on telling where memory was short, and tells again. Throws std::bad_alloc when it still is.
  void on_tick(Clock::time_point now);

  /// This rank has left a collective call that others may be in: their waits, and its own, end with rank_lost from now on.
  void give_up(std::string_view why) noexcept;
  /// Whether this rank has given up, or has been told that another has or is lost. Any thread.
  [[nodiscard]] bool over();

  /// For a wait that may last as long as the job: nobody is asked, nobody counts as lost for being silent.
  /// @errors rank_lost: another rank has found one lost, or has given up.
  [[nodiscard]] Result<void> look_patiently();

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
  void tell(RankId rank, const Error& error);
  void tell_all(const Error& lost);
  void tell_of_giving_up(std::string_view why);
  [[nodiscard]] Error lost(const std::vector<RankId>& ranks) const;

  Caller& caller_;
  const RankId self_;
  const std::chrono::milliseconds limit_;
  const std::chrono::milliseconds interval_;
  std::vector<bool> answering_;
  std::vector<std::atomic<Clock::time_point>> heard_;  // by rank: when last
  std::atomic<Clock::time_point> engine_turned_;
  std::mutex mutex_;           // guards what follows
  std::optional<Error> told_;  // a rank has found one lost, or has given up
  bool giving_up_ = false;     // this rank
  int rounds_ = 0;             // in which all were told of it
  RankId untold_ = 0;          // those before it have been told in this round
};

}  // namespace tarn::mpi
