// copies.hpp - where the copies of an object belong, and where they are.
// Level 6 (mpi). Any thread.
//
//   settled    at its holders, and nowhere else
//   unsettled  the newest version that its holders have; where they have none, what the other ranks have, asked in the order in which
//              the object would have been theirs: 1, 2, 4 ... at a time
//   stale      the newest version that any rank has
#pragma once

#include <memory>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "mpi/homes.hpp"
#include "mpi/layout.hpp"
#include "placement/placement.hpp"
#include "placement/store_map.hpp"

namespace tarn::mpi {

/// A copy that has been found.
struct FoundCopy {
  Home home;
  object::StoredObject stored;
};

class Copies {
 public:
  /// In a store that is not settled: whether a version that a holder has can be older than one elsewhere.
  enum class Ask : bool {
    in_order,  ///< no: who writes, writes to the holders
    all,       ///< yes: objects are placed
  };
  /// @param local  null: this rank has no disks. All live as long as this does.
  Copies(std::shared_ptr<const placement::StoreMap> map, RankId rank, object::LocalStore* local, Homes& homes, const Layout& layout);

  [[nodiscard]] const placement::Placement& placement() const noexcept { return placement_; }
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  /// Ranks that have disks, in order.
  [[nodiscard]] const std::vector<RankId>& storage_ranks() const noexcept { return storage_ranks_; }

  [[nodiscard]] Home home(const ObjectName& name) const;
  /// Where the object's copies belong; its home first.
  [[nodiscard]] std::vector<Home> holders(const ObjectName& name, unsigned mirror) const;
  /// Where to read it, the nearest first: all of one version, or, in a settled store, its holders without a question.
  /// @errors not_found; rank_lost, timeout: a rank that may have it does not answer.
  [[nodiscard]] Result<std::vector<Home>> readable(const ObjectName& name, unsigned mirror, Ask ask);
  /// The newest version and all that have it, as above. @errors as readable().
  [[nodiscard]] Result<std::vector<FoundCopy>> newest(const ObjectName& name, unsigned mirror, Ask ask);
  /// Every copy of any version on these ranks. @errors rank_lost, timeout: one of them does not answer.
  [[nodiscard]] Result<std::vector<FoundCopy>> survey(const std::vector<RankId>& ranks, const ObjectName& name);

 private:
  void sort_by_distance(std::vector<Home>& homes) const;
  /// Ranks of the disks in the order of ranking(), each once.
  [[nodiscard]] std::vector<RankId> ranks_in_order(const ObjectName& name) const;

  const std::shared_ptr<const placement::StoreMap> map_;
  const RankId rank_;
  object::LocalStore* const local_;
  Homes& homes_;
  const Layout& layout_;
  const placement::Placement placement_;
  std::vector<RankId> storage_ranks_;
};

}  // namespace tarn::mpi
