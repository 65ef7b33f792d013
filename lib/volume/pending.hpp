// pending.hpp - changes that are in a volume already and not yet in the index.
// Level 2 (volume). Any thread may insert and find; swap(), committing() and clear() belong to the committer.
//
//   insert -> active --swap()--> committing --(index commit)--> clear()
//
// A key is looked for in active, then committing, then the index: clear() comes after the index commit, so at every
// moment a change is found in one of them. swap() must be called while no insert can run (Appender::cut), so that what
// it takes is everything up to one sequence number.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "volume/record.hpp"

namespace tarn::volume {

class Pending {
 public:
  /// The highest sequence of a key wins.
  void insert(Change change);
  /// @return nullopt: nothing known here; a Change without record: removed.
  [[nodiscard]] std::optional<Change> find(std::string_view key) const;
  /// Whether find() would know of the key.
  [[nodiscard]] bool holds(std::string_view key) const;
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  /// Moves active to committing, which must be empty.
  void swap();
  /// Valid until clear().
  [[nodiscard]] std::vector<const Change*> committing() const;
  /// Extents of changes up to the last swap() that were replaced before they ever reached the index.
  [[nodiscard]] std::vector<Extent> replaced() const;
  /// Empties committing.
  void clear();

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  using Map = std::unordered_map<std::string, Change, TextHash, std::equal_to<>>;
  struct alignas(64) Shard {
    mutable std::mutex mutex;  // guards the rest
    Map active, committing;
    std::vector<Extent> replaced, replaced_committing;
  };
  [[nodiscard]] Shard& shard_of(std::string_view key) noexcept;
  [[nodiscard]] const Shard& shard_of(std::string_view key) const noexcept;

  std::array<Shard, 16> shards_;
  std::atomic<std::size_t> size_{0};     // of all active maps
  std::atomic<std::size_t> unclear_{0};  // of all maps: while 0, readers look no further
};

}  // namespace tarn::volume
