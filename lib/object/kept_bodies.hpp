// kept_bodies.hpp - bodies that a job has finished but not named yet: they outlive a process that is killed, and the next job need not
// write them again.
// Level 3 (object). Value types; KeptBodies: any thread.
//
//   <disk>/kept/<id>-<checksum>-<size>   a solo volume that only lacks its header; id and checksum of 32 hex digits, size in decimal
//   <disk>/kept/named                    "<id> <checksum>" a line: bodies that were being given their names when the list was written
//
// The id says what the body is to be; whoever takes one over reads it through and compares its checksum first.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

#include "object/copy_terms.hpp"
#include "object/disk_table.hpp"

namespace tarn::object {

/// Of a body's content, chosen by the job.
using BodyId = Checksum;

struct KeptBody {
  std::string path;
  Checksum checksum{};
  std::uint64_t size_bytes = 0;
};

/// A writer whose body can be kept.
class KeepingWriter : public CopyWriter {
 public:
  /// Between prepare() and commit(): from here on the body stays although the process may be killed or this writer go, until it is
  /// committed or KeptBodies::remove_all(). One that lies in memory is not kept. @return the body's checksum. @errors io, no_space.
  [[nodiscard]] virtual Result<Checksum> keep(const BodyId& id) = 0;
  /// In place of write() and prepare(): takes a body over. @errors corrupt: it is not what it was; io.
  [[nodiscard]] virtual Result<void> resume(const KeptBody& body) = 0;
};

class KeptBodies {
 public:
  explicit KeptBodies(const DiskTable& disks) : disks_(disks) {}

  [[nodiscard]] std::uint32_t disk_count() const noexcept { return static_cast<std::uint32_t>(disks_.all.size()); }
  /// Those of a disk. @errors invalid (no such disk), io.
  [[nodiscard]] Result<std::map<BodyId, KeptBody>> list(std::uint32_t disk) const;
  /// What note_named() has noted; nothing else is known of them: the name may have been given or not.
  [[nodiscard]] Result<std::map<BodyId, Checksum>> named(std::uint32_t disk) const;
  /// Before the first of these bodies gets its name. @errors io, no_space.
  [[nodiscard]] Result<void> note_named(std::uint32_t disk, const std::map<BodyId, Checksum>& bodies);
  /// All bodies and notes of all disks. What cannot be removed is logged.
  void remove_all() noexcept;

  /// Where LocalWriter keeps a body. Makes the directory.
  [[nodiscard]] static Result<std::string> path_for(volume::Disk& on, const BodyId& id, const Checksum& checksum, std::uint64_t size_bytes);

 private:
  const DiskTable& disks_;
};

}  // namespace tarn::object
