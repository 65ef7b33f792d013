// dsort_shard.hpp - one output shard, from its records to a body that is written and checked but has no name yet.
// Level 6 (mpi). One thread per ShardAssembler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tarn/result.hpp>
#include <tarn/store.hpp>

#include "base/hash.hpp"
#include "mpi/dsort_finished.hpp"
#include "mpi/dsort_job.hpp"
#include "mpi/dsort_phase.hpp"
#include "mpi/dsort_sort.hpp"
#include "mpi/fetcher.hpp"
#include "plan/manifest.hpp"
#include "plan/record.hpp"
#include "shard/tar_packer.hpp"
#include "shard/tar_stream.hpp"

namespace tarn::mpi {

/// Writes shards through a window of memory: fetch requests point into it, and when it is full they are
/// fetched together, checked, and the window is written in one go. A part that does not fit is cut and its
/// hash carried on.
///
///   window  |hdr|..loose data..|pad|....shard part....|..shard pa      next window  rt....|
///   checks      \____ 128 ____/     \_____ 64 _______/ \__ 64, goes on __________________/
class ShardAssembler {
 public:
  /// @param finished  shards of an earlier job that need not be made again.
  ShardAssembler(DsortJob& job, const std::vector<DsortSource>& sources, const FinishedShards& finished, std::size_t window_bytes)
      : job_(job), sources_(sources), finished_(finished), window_(window_bytes) {}

  /// A shard that only lacks its name: commit().
  struct Assembled {
    std::unique_ptr<object::KeepingWriter> writer;  ///< null: it has its name already
    object::BodyId id{};
    Checksum checksum{};
    std::uint64_t size_bytes = 0;  ///< packed, where the output is
    std::uint64_t members = 0;
    std::string index_name;   ///< of the index for DALI, if one is wanted
    plan::LooseMember index;  ///< where it lies, without that name
    bool resumed = false;     ///< an earlier job had finished it
  };
  /// @errors corrupt, no_space, io, aborted, rank_lost.
  [[nodiscard]] Result<Assembled> assemble(const PlannedShard& shard, PhaseControl& control);
  /// Of all shards that this one has assembled, if they are to be counted.
  [[nodiscard]] const plan::ClassCounts& classes() const noexcept { return classes_; }

 private:
  /// Bytes of the window that are hashed together; a range that is cut by the window's end goes on in the next.
  struct Check {
    enum class Kind : std::uint8_t {
      part,    ///< of a shard: its XXH3-64 must be `hash`
      loose,   ///< a loose member's data: its XXH3-128 must be `checksum`
      sample,  ///< a sample of several parts: its XXH3-64 becomes expected_[slot], for verify()
    };
    Kind kind = Kind::part;
    std::size_t begin = 0, end = 0;
    bool first = false, last = false;  ///< piece of the range
    std::uint64_t hash = 0;
    Checksum checksum{};
    std::size_t slot = 0;
    std::string_view key;  ///< for messages, as is source
    std::uint64_t source = plan::kLooseSource;
  };
  /// Where bytes of another rank lie.
  struct Origin {
    RankId rank = 0;
    std::uint32_t disk = 0;
  };

  /// The shard as it stands on the disk, from an earlier job; nothing: it has to be made.
  [[nodiscard]] Result<std::optional<Assembled>> take_up(const PlannedShard& shard, const object::BodyId& id, const ObjectName& name);
  [[nodiscard]] Result<Assembled> make(const PlannedShard& shard, const object::BodyId& id, const ObjectName& name);
  [[nodiscard]] Result<std::unique_ptr<object::KeepingWriter>> create(const PlannedShard& shard, const ObjectName& name) const;
  /// Decodes a record into parts_. @return its head, and what its sample must hash to where that is known before it is assembled.
  [[nodiscard]] std::pair<plan::RecordHead, std::optional<std::uint64_t>> decode(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> add_record(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> add_loose(const plan::LooseMember& member, std::string_view key);
  /// Bytes [offset, offset + length) of the object that `extents` make up.
  template <class Extents>
  [[nodiscard]] Result<void> add_data(Origin origin, const Extents& extents, std::uint64_t offset, std::uint64_t length_bytes, Check check);
  template <class Extents>
  void add_requests(Origin origin, const Extents& extents, std::uint64_t offset, std::span<std::byte> target);
  [[nodiscard]] Result<void> add_bytes(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> add_zeros(std::uint64_t count);
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] Result<void> check_piece(const Check& check);
  /// Hands bytes of the tar to the writer, packed where the output is.
  [[nodiscard]] Result<void> write_out(std::span<const std::byte> bytes);
  void begin_sample();
  void end_sample();
  /// Reads the body back as any reader would: the planned samples, in order, each with the right bytes. Makes by-products on the way.
  [[nodiscard]] Result<void> verify(const PlannedShard& shard, const std::string& name, const shard::ArchiveReadFn& read_body, Assembled& assembled);
  [[nodiscard]] Result<void> count_class(const std::optional<std::string>& content);

  DsortJob& job_;
  const std::vector<DsortSource>& sources_;
  const FinishedShards& finished_;
  std::vector<std::byte> window_;
  std::size_t filled_ = 0;
  std::vector<FetchRequest> requests_;
  std::vector<Check> checks_;
  base::HashStream part_hash_, sample_hash_;  // of ranges that began in an earlier window
  base::ChecksumStream loose_checksum_;
  bool sample_open_ = false, sample_first_ = false;     // of a sample with several parts; whether it began in this window
  std::size_t sample_begin_ = 0;                        // in the window
  std::vector<std::optional<std::uint64_t>> expected_;  // hash of each sample of the shard
  plan::ClassCounts classes_;
  plan::RecordParts parts_;
  std::unique_ptr<object::KeepingWriter> writer_;
  std::unique_ptr<shard::TarPacker> packer_;  // null: the output is .tar
  std::uint64_t written_ = 0;                 // to writer_
  PhaseControl* control_ = nullptr;
};

}  // namespace tarn::mpi
