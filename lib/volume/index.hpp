// index.hpp - the ordered map of one disk: index key -> record, with the state of its volumes. LMDB stays in index.cpp
// and key_trie.cpp.
// Level 2 (volume). Any number of threads may read; those that write take turns. Readers and the writer never wait for
// each other. One process at a time (the disk's lock sees to it).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/key_trie.hpp"
#include "volume/member.hpp"
#include "volume/record.hpp"

namespace tarn::volume {

enum class VolumeKind : std::uint8_t {
  open,    ///< shared, may grow
  sealed,  ///< shared, ends with the archive's trailer
  solo,    ///< one object, or a part of an assembled one
};

/// Members of a shared volume that are no objects.
struct VolumeNotes {
  std::uint64_t removal_bytes = 0;
  std::uint64_t bucket_bytes = 0;
  std::uint64_t newest = 0;  ///< of its removals: the largest Member::newest_volume

  void add(const Member& member, std::uint64_t footprint_bytes) noexcept;
  friend bool operator==(const VolumeNotes&, const VolumeNotes&) = default;
};

struct VolumeState {
  VolumeKind kind = VolumeKind::open;
  std::uint64_t indexed_bytes = 0;  ///< members that begin before are in the index
  std::uint64_t live_bytes = 0;     ///< of the objects that the index points to, their headers and padding included
  VolumeNotes notes = {};

  /// Of objects that were replaced or removed, and of damage. 0: none of the volume's objects is dead.
  [[nodiscard]] std::uint64_t dead_bytes() const noexcept;
  friend bool operator==(const VolumeState&, const VolumeState&) = default;
};

struct IndexCounters {
  std::uint64_t objects = 0;
  std::uint64_t object_bytes = 0;
  std::uint64_t sequence = 0;  ///< every change up to this one is in the index
  std::uint64_t volume = 0;    ///< no larger number of a volume has been met: those that are gone and may be listed somewhere included
};

/// One atomic step of the index.
struct Batch {
  std::vector<const Change*> changes;  ///< in any order; one that is older than what the index has is skipped
  std::vector<BucketChange> buckets;   ///< in order of sequence
  /// How far each open or just sealed volume has got; live_bytes is ignored.
  std::map<std::uint64_t, VolumeState> volumes;
  /// Of changes that were replaced before the index has seen them.
  std::vector<Extent> replaced;
  std::vector<Move> moves;  ///< after the changes; one whose object is not at `from` any more is skipped
  std::uint64_t sequence = 0;
  bool keep_removals = false;  ///< rebuild: see drop_removals()
};

class Index {
 public:
  /// Opens or makes the index in `directory`.
  /// @errors corrupt: unreadable, to be rebuilt; io, denied, no_space.
  [[nodiscard]] static Result<std::unique_ptr<Index>> open(base::FileSystem& fs, const std::string& directory);
  ~Index();

  /// False until set_complete() with the same arguments: a rebuild did not finish, or the index is new, of another disk, of
  /// another format, or of an earlier time.
  /// @param mark  what the disk's lock says of the index that it was last used with.
  [[nodiscard]] Result<bool> complete(const base::Uuid& disk, std::string_view mark) const;
  [[nodiscard]] Result<void> set_complete(const base::Uuid& disk, std::string_view mark);

  /// @return nullopt: no such key. @cost one tree descent, no system call. @errors corrupt, busy (too many readers).
  [[nodiscard]] Result<std::optional<Record>> find(std::string_view key) const;
  /// The same without an allocation. @return nullopt also where find() must tell: damage, errors, several extents.
  [[nodiscard]] std::optional<BriefRecord> find_brief(std::string_view key) const;
  /// Visits keys >= from in byte order, in one snapshot. Values are only valid in the call.
  /// Keep it short: pages that were freed meanwhile cannot be reused until it ends.
  using Visitor = KeyVisitor;
  [[nodiscard]] Result<void> scan(std::string_view from, const Visitor& visit) const;

  /// Of the newest change to a key, while a rebuild runs also where that was a removal.
  [[nodiscard]] Result<std::optional<std::uint64_t>> sequence_of(std::string_view key) const;
  [[nodiscard]] Result<IndexCounters> counters() const;
  [[nodiscard]] Result<std::map<std::uint64_t, VolumeState>> volumes() const;
  [[nodiscard]] Result<std::vector<BucketInfo>> buckets() const;
  /// The sequence of each bucket's newest note, removed buckets included.
  [[nodiscard]] Result<std::map<std::string, std::uint64_t, std::less<>>> newest_notes() const;

  /// Applies a batch, whole or not at all.
  /// @return extents that nothing points to any more, those of solo volumes only when the whole volume has gone: a part's may live
  ///         on in an assembled object.
  [[nodiscard]] Result<std::vector<Extent>> commit(Batch& batch);
  /// Takes out the removals that commits with keep_removals have left.
  [[nodiscard]] Result<void> drop_removals();
  [[nodiscard]] Result<void> forget_volume(std::uint64_t volume);
  /// Onto stable storage.
  [[nodiscard]] Result<void> sync();

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::volume
