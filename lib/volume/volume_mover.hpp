// volume_mover.hpp - copies what is still needed of shared volumes into a new one and lets the index follow.
// Level 2 (volume). One thread.
//
//   for each member of the volume, front to back:  needed? -> verify; one is damaged: the volume stays as it is, nothing is copied
//   and again:                                     needed? -> verify -> copy behind what the new volume has -> (1,024 times) -> Index::commit
//
// A copy keeps sequence, times, metadata and data; only its header says where it lies now. Until the index has the move, the
// copy is garbage of the new volume; after that the original is garbage of the old one. So it may be interrupted anywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "base/uuid.hpp"
#include "volume/index.hpp"
#include "volume/member.hpp"
#include "volume/scanner.hpp"

namespace tarn::volume {

class VolumeMover {
 public:
  struct Context {
    base::FileSystem& fs;
    std::string directory;  ///< of the disk
    base::Uuid disk;
    Index& index;
    /// Called before each copy of so many bytes, and with 0 for each member that is looked at: for a rate limit. @errors end the work.
    std::function<Result<void>(std::uint64_t)> pace;
  };
  /// @param target  number of the new volume: taken from the Appender before the last commit of everything that was pending, so
  ///                that each removal is either in the index or counts the new volume (Member::newest_volume).
  VolumeMover(Context context, std::uint64_t target) : context_(std::move(context)), target_(target) {}

  /// Copies out of a sealed volume that the index knows to its end.
  /// @param oldest_dirty  the lowest number of another volume that holds dead objects: removals with a smaller `newest` are not needed.
  /// @return  empty: nothing in the volume is needed any more; else what is wrong with it, in one sentence: it must stay. Nothing
  ///          has been copied then, but for what went bad while it was.
  /// @cost    reads the volume twice, the second time mostly from memory.
  /// @errors  io, no_space: of the new volume or the index; those of pace(). What was copied counts all the same.
  [[nodiscard]] Result<std::string> take(std::uint64_t volume, std::uint64_t oldest_dirty);
  /// Seals the new volume. @errors as take().
  [[nodiscard]] Result<void> finish();
  /// Whether there is a new volume: something was copied.
  [[nodiscard]] bool wrote() const noexcept { return end_ > 0; }
  [[nodiscard]] std::uint64_t copied_bytes() const noexcept { return end_; }

 private:
  [[nodiscard]] Result<std::string> look_at(std::uint64_t volume, const base::File& file);
  [[nodiscard]] Result<bool> points_to(std::string_view key, const ScannedMember& found, const Extent& place) const;
  [[nodiscard]] bool read_object(const base::File& file, const ScannedMember& found);
  [[nodiscard]] Result<void> take_member(std::uint64_t volume, const base::File& file, const ScannedMember& found, std::uint64_t oldest_dirty);
  [[nodiscard]] Result<void> take_object(std::uint64_t volume, const base::File& file, const ScannedMember& found);
  [[nodiscard]] Result<bool> needs_removal(const Member& member, std::uint64_t oldest_dirty) const;
  [[nodiscard]] Result<Extent> copy(const Member& member, std::span<const std::byte> data);
  [[nodiscard]] Result<void> commit(VolumeKind kind);

  const Context context_;
  const std::uint64_t target_;
  std::unique_ptr<base::File> file_;  // of the target
  std::uint64_t end_ = 0;
  VolumeNotes notes_;
  std::vector<Move> moves_;                                    // not yet in the index
  std::map<std::string, std::uint64_t, std::less<>> buckets_;  // name -> sequence of its newest note
  std::vector<std::byte> buffer_;
  std::string wrong_;  // with the volume that is being read
};

}  // namespace tarn::volume
