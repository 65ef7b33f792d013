// options.hpp - how a store is opened.
// Level 0. Value types; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace tarn {

/// What a rank is for. A store may have ranks of one kind only, or of both.
enum class RankRole : std::uint8_t {
  application,  ///< computes, and uses the store; may have directories as well
  service,      ///< there for the store alone, as the ranks of `tarn serve` are: takes part, inside of Store::close(), in whatever the
                ///< application's ranks do together, until they have all closed the store
};

/// What the sidecar does with a request for an object that another rank owns.
/// automatic: same node: serve directly; a client known to follow: 307; others: proxy.
enum class RedirectPolicy : std::uint8_t { automatic, always, never };

/// Objects beyond 64 KiB can go from the page cache to the client without passing through the process: fastest, but nobody looks
/// at the bytes.
/// never:  they always do, unverified.
/// first:  they do once the whole object has been verified since the store was opened; before, bytes are verified as they are sent.
/// always: all bytes are verified as they are sent.
enum class VerifySendfile : std::uint8_t { never, first, always };

/// The HTTP sidecar of this rank.
struct SidecarOptions {
  bool enabled = false;
  std::string bind = "127.0.0.1";  ///< an address, or the name of a network interface
  std::uint16_t port = 0;          ///< 0: the system chooses; else port + rank
  unsigned threads = 2;
  bool anonymous = false;  ///< true: no token is asked for
  RedirectPolicy redirect = RedirectPolicy::automatic;
  VerifySendfile verify_sendfile = VerifySendfile::first;
  /// Written with mode 0600, when every rank serves, by the first service rank that names one, else by the first rank; empty: none.
  std::string endpoint_file;
};

/// What a disk may take of its file system. Puts that would take more are refused with no_space; removals are not.
struct SpaceLimits {
  /// Everything in the disk's directory together, index included; at least 16 MiB; 0: no quota.
  std::uint64_t quota_bytes = 0;
  /// Stays free in the file system, whoever fills it: the larger of the two. At least a sixteenth or 64 MiB, the smaller of these, is kept.
  std::uint64_t keep_free_bytes = 0;
  double keep_free_percent = 0;  ///< of the file system's capacity

  friend bool operator==(const SpaceLimits&, const SpaceLimits&) = default;
};

/// `request_timeout` (where it is set), `sidecar.anonymous` and `sidecar.redirect` (on ranks with a sidecar) and `node_id_from_rank` must
/// be the same on all ranks, and hold for those that do not say them. Where there are service ranks, node_id_from_rank is theirs to say.
struct StoreOptions {
  RankRole role = RankRole::application;
  /// Directories of this rank, one per disk; `{rank}` and `{node}` are substituted.
  /// Created when missing (the parent must exist). None: this rank is a client only.
  std::vector<std::string> directories;
  SpaceLimits space;  ///< of each disk
  SidecarOptions sidecar;
  /// Tests and demonstrations: every rank counts as a node of its own.
  bool node_id_from_rank = false;
  /// What each disk may copy when it compacts: gives back the space of objects that were overwritten or removed. Faster when there
  /// is far too much of that, or the disk is nearly full. 0: no compaction.
  std::uint64_t compaction_bytes_per_second = std::uint64_t{128} << 20;
  /// How long a request to another rank may take; 0: 30 s * (1 + log2(ranks)).
  std::chrono::milliseconds request_timeout{0};
  /// Longest sleep of the service thread: latency against CPU. When nothing is under way it sleeps for 50 times that where other ranks
  /// ring to wake it (all on one machine), and after half a second for 4 times that elsewhere.
  std::chrono::microseconds idle_poll_cap{1000};
};

}  // namespace tarn
