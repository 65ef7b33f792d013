// compactor.hpp - the thread that gives back the space of dead objects, a few volumes at a time.
// Level 2 (volume). Any thread may call; the thread ends in stop().
//
//   a round:  survey -> too much garbage? -> choose volumes -> seal those that are open
//             -> number of the new volume -> Committer::commit_all -> survey again (volume_mover.hpp says why)
//             -> VolumeMover: copy what is needed, Index::commit the moves
//             -> Appender::sync: the copies, and whatever made the rest garbage, are on stable storage
//             -> Index::forget_volume -> unlink (when no pin is held)
//
// Invariants:
//  1. A volume is unlinked only after everything that is needed of it, and every name that was removed before, is on stable storage.
//     If that sync fails the volumes stay, and there is no compaction until the disk is opened again.
//  2. A volume that is damaged, or has an object whose checksum is wrong, stays as it is; trouble() names it.
//  3. Interrupted anywhere, a volume is either complete or everything that is needed of it is in others; what is there twice is
//     garbage and found again.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/appender.hpp"
#include "volume/committer.hpp"
#include "volume/compaction_plan.hpp"
#include "volume/index.hpp"
#include "volume/volume_pins.hpp"

namespace tarn::volume {

struct CompactionStats {
  std::uint64_t garbage_bytes = 0;   ///< dead objects and removals, now
  std::uint64_t moved_bytes = 0;     ///< copied since the disk was opened
  std::uint64_t returned_bytes = 0;  ///< of volumes that were unlinked since then
  bool active = false;               ///< a round runs or will run
};

class Compactor {
 public:
  struct Context {
    base::FileSystem& fs;
    std::string directory;
    base::Uuid disk;
    Index& index;
    Appender& appender;
    Committer& committer;
    VolumePins& pins;
  };
  /// Starts the thread unless the rate is 0.
  Compactor(Context context, const CompactionOptions& options);
  ~Compactor();

  /// Garbage grew, or pins were let go. @cost nearly nothing.
  void wake() noexcept;
  /// One round, on the caller's thread and whatever the rate. @return false: nothing was to be done.
  /// @errors io, no_space, those of a sync; aborted: stop() was called.
  [[nodiscard]] Result<bool> round();
  /// Within the time of one small write, or of a sync; copying goes on with the next open.
  void stop();

  [[nodiscard]] CompactionStats stats() const;
  /// What keeps it from its work; empty: nothing.
  [[nodiscard]] std::string trouble() const;

 private:
  struct Plan {
    std::vector<Victim> victims;
    bool hurry = false, nearly_full = false;
  };
  void run();
  [[nodiscard]] Result<bool> try_round() noexcept;
  [[nodiscard]] Result<GarbageSurvey> survey(const GarbageSurvey::Volumes& volumes) const;
  [[nodiscard]] Result<Plan> choose() const;
  [[nodiscard]] Result<bool> seal_open(const std::vector<Victim>& victims);
  [[nodiscard]] Result<bool> compact(const Plan& plan);
  [[nodiscard]] Result<void> give_back(const std::vector<std::uint64_t>& emptied);
  [[nodiscard]] Result<void> pace(std::uint64_t bytes, const Plan& plan);
  void exclude(std::uint64_t volume, const std::string& why);

  const Context context_;
  const CompactionOptions options_;
  std::mutex round_mutex_;            // one round at a time; guards the next four
  std::set<std::uint64_t> excluded_;  // cannot be compacted before the disk is opened again
  std::chrono::steady_clock::time_point due_{};
  bool sync_failed_ = false;
  std::optional<std::uint64_t> unsynced_;  // a new volume that the appender has not been told of

  std::atomic<std::uint64_t> moved_bytes_{0}, returned_bytes_{0};
  std::atomic<bool> woken_{false}, stopping_{false};
  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable wake_;
  bool working_ = false;
  std::string round_trouble_;
  std::vector<std::string> volume_troubles_;
  std::thread thread_;
};

}  // namespace tarn::volume
