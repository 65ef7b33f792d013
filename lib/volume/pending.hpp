// pending.hpp - changes that are in a volume already and not yet in the index.
// Level 2 (volume). Any thread may publish and find; swap(), committing() and clear() belong to the committer.
//
//   Reservation: publish -> active --swap()--> committing --(index commit)--> clear()
//
// A key is looked for in active, then committing, then the index: clear() comes after the index commit, so at every
// moment a change is found in one of them. swap() must be called while nobody holds a reservation (Appender::cut), so that what
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

#include "volume/change_counter.hpp"
#include "volume/record.hpp"

namespace tarn::volume {

class Pending {
  struct Entry;
  struct Shard;

 public:
  /// Room for a change, with all the memory that publish() takes: once the change is on the disk, nothing may fail any more. It
  /// must go before swap() is called: a writer makes, publishes and destroys it under one mutex (Appender, invariant 2).
  class Reservation {
   public:
    Reservation(Pending& pending, Change change);
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation();  ///< gives the room back, unless it has been published
    /// From now on the change is found. The highest sequence of a key wins.
    void publish() noexcept;

   private:
    Pending& pending_;
    Change change_;
    Shard& shard_;
    Entry* entry_ = nullptr;  // nullptr: published
  };
  /// Counts reservations from now on. Before there is one.
  void count_in(ChangeCounter& counter) noexcept { counter_ = &counter; }
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
  void clear() noexcept;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  struct Entry {
    Change change;
    bool visible = false;      // something has been published
    std::size_t reserved = 0;  // reservations that are not
  };
  using Map = std::unordered_map<std::string, Entry, TextHash, std::equal_to<>>;
  struct alignas(64) Shard {
    mutable std::mutex mutex;  // guards the rest
    Map active, committing;
    std::vector<Extent> replaced, replaced_committing;
    std::size_t places = 0;  // of all that is in `active` or was: what `replaced` has room for
  };
  [[nodiscard]] Shard& shard_of(std::string_view key) noexcept;
  [[nodiscard]] const Shard& shard_of(std::string_view key) const noexcept;

  ChangeCounter* counter_ = nullptr;
  std::array<Shard, 16> shards_;
  std::atomic<std::size_t> size_{0};     // of all active maps, reservations included
  std::atomic<std::size_t> unclear_{0};  // of all maps: while 0, readers look no further
};

}  // namespace tarn::volume
