// doorbell.hpp - wakes service threads of other ranks out of long sleeps: one datagram ahead of the first message after silence.
// Level 6 (mpi). open(): collective, before the engine starts. ring(), answer(): the engine's thread.
//
//   sender:    message to r --within kRingAfter of the last one--> no ring      receiver:  work --kDeepAfter without work--> deep sleep
//                           --later--> message first, then the ring                        deep sleep --ring, or its end--> looks for messages
//
// Whom nobody rings is still awake: between two messages without a ring lie at most twice kRingAfter, however late the sender looks at its
// clock. A ring says only "look": it holds nothing of the message, so one that is lost, or
// a message without a ring, waits until the sleep ends. Sockets are of the abstract unix kind (unix(7)): reachable on this machine and in this
// network namespace only, and gone with the process. Decision: docs/adr/0013-doorbell.md.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "mpi/collectives.hpp"
#include "mpi/event.hpp"

namespace tarn::mpi {

class Doorbell {
 public:
  static constexpr std::chrono::microseconds kRingAfter{100};
  static constexpr std::chrono::milliseconds kDeepAfter{5};

  /// Collective. Binds this rank's socket and looks which others it reaches. A rank without a socket, or one elsewhere, is no error: nobody
  /// then relies on being rung. @cost one broadcast, one barrier, one sum, and a connect(2) for each rank.
  [[nodiscard]] Result<void> open(Collectives& collectives);

  /// Whether every rank of the store rings every other.
  [[nodiscard]] bool all_ring() const noexcept { return all_ring_; }
  /// For poll(2); negative when there is nothing to listen to.
  [[nodiscard]] int descriptor(Clock::time_point now) const noexcept { return now < deaf_until_ ? -1 : socket_.get(); }
  /// After a message to `rank` was started: rings if it may be asleep.
  void ring(RankId rank, Clock::time_point now) noexcept;
  /// Takes the rings that have come. @return whether there was one.
  bool answer(Clock::time_point now) noexcept;

 private:
  [[nodiscard]] bool bind_socket(RankId rank) noexcept;
  [[nodiscard]] bool reaches(RankId rank) const noexcept;

  base::UniqueFd socket_;
  std::string name_;    // of the store; the rank follows
  std::string cookie_;  // what a ring holds: names can be read in /proc/net/unix, this cannot
  bool all_ring_ = false;
  std::vector<bool> reaches_;                 // by rank
  std::vector<Clock::time_point> last_sent_;  // by rank
  Clock::time_point deaf_until_{};
};

static_assert(2 * Doorbell::kRingAfter < Doorbell::kDeepAfter);

}  // namespace tarn::mpi
