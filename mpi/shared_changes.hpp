// shared_changes.hpp - the change counters of the ranks of this node, in memory that they share.
// Level 6 (mpi). open(): collective. The counters: any thread.
//
// Each rank makes a nameless file in memory (memfd_create(2)) and tells the others its process and descriptor; those of its node open it by
// /proc/PID/fd/FD and map it for reading. So nothing is left behind, however a process ends. Where that is not possible (process ids that mean
// something else here, as in containers; another user) the rank is not known, and its neighbours ask it for each place.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "mpi/collectives.hpp"
#include "placement/store_map.hpp"
#include "volume/change_counter.hpp"

namespace tarn::mpi {

class SharedChanges {
 public:
  SharedChanges();
  SharedChanges(const SharedChanges&) = delete;
  SharedChanges& operator=(const SharedChanges&) = delete;
  ~SharedChanges();

  /// Collective. Finds the counters of the ranks that have this one's node. @cost one all_gather of 48 bytes a rank.
  [[nodiscard]] Result<void> open(Collectives& collectives, const std::vector<placement::Rank>& ranks);
  /// What this rank counts in; others see it after open().
  [[nodiscard]] volume::ChangeCounter& own() noexcept;
  /// Null: not known here. Not this rank's own.
  [[nodiscard]] const volume::ChangeCounter* of(RankId rank) const noexcept;

 private:
  struct Page;
  struct Unmap {
    void operator()(Page* page) const noexcept;
  };
  using Mapped = std::unique_ptr<Page, Unmap>;
  static Mapped map(int fd, bool writable) noexcept;

  base::UniqueFd file_;  // stays open: others open it by its number
  Mapped own_;
  std::unique_ptr<Page> alone_;   // where there is no such file
  std::vector<Mapped> of_ranks_;  // by rank
};

}  // namespace tarn::mpi
