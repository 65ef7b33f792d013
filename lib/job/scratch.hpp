// scratch.hpp - the directory for a store's disks when nobody names one: probed, judged, explained.
// Level 2 (job). choose_scratch() is pure given its probe; probe_directory() asks the operating system.
//
// Order (facts of many sites): $TARN_DIR, $SLURM_TMPDIR, $LOCAL_SCRATCH, $BBPATH, /mnt/bb/$USER, $JOBFS,
// /local/scratch, $TMPDIR, /tmp. The first writable one wins; network file systems and /dev/shm are passed over.
// $TARN_DIR is somebody's word: it is taken on any file system, and when it cannot be used nothing else is taken.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tarn/result.hpp>

#include "base/file.hpp"
#include "job/job_env.hpp"

namespace tarn::job {

enum class FileSystemKind : std::uint8_t {
  local,
  memory,   ///< tmpfs, ramfs: counts as the job's memory
  network,  ///< shared with other nodes: Tarn's traffic would hit it
  unknown,
};

struct FileSystemType {
  std::string name;  ///< "ext4", "lustre", ..., or the magic number in hex
  FileSystemKind kind = FileSystemKind::unknown;
};

/// @param magic  f_type of statfs(2).
[[nodiscard]] FileSystemType file_system_type(std::uint64_t magic);

struct DirectoryFacts {
  bool exists = false;  ///< and is a directory
  bool writable = false;
  FileSystemType file_system;
  base::Space space;
  bool shared_memory = false;  ///< /dev/shm or below it: MPI needs it, and what a killed job leaves there stays
};

/// Never fails: what cannot be found out counts as missing.
[[nodiscard]] DirectoryFacts probe_directory(const std::string& path);
using DirectoryProbe = std::function<DirectoryFacts(const std::string&)>;

struct ScratchCandidate {
  std::string path;
  std::string source;  ///< "$TMPDIR", "built in"
  DirectoryFacts facts;
  std::string verdict;  ///< why it was not taken; empty: it was, or it came after the one that was
};

struct ScratchChoice {
  std::vector<ScratchCandidate> candidates;  ///< in probe order
  std::optional<std::size_t> chosen;
  std::string refusal;  ///< why there is none, with a remedy; empty: there is one
};

/// Each variable that is set, and the fixed places, in probe order without repetition.
[[nodiscard]] std::vector<ScratchCandidate> scratch_candidates(const Environment& environment);
[[nodiscard]] ScratchChoice choose_scratch(const Environment& environment, const DirectoryProbe& probe);

/// "/local/scratch ($LOCAL_SCRATCH, xfs, 1.7 TiB, 1.2 TiB free)"
[[nodiscard]] std::string describe(const ScratchCandidate& candidate);
/// What the start of a store says of a choice that was made, a sentence each: the directory with its file system and size, and why; those
/// before it that are there and were passed over, and why. (What is to be warned of: directory_warning().)
[[nodiscard]] std::vector<std::string> explain(const ScratchChoice& choice);

/// Makes a directory that only this user may enter, in a place like /tmp where everybody may make one.
/// @errors denied: one of that name is another user's, or not a directory; not_found, io, ...: of the operating system.
[[nodiscard]] Result<void> make_private_directory(const std::string& path);

/// What is to be said about a directory that somebody named: empty when it is on a local disk.
[[nodiscard]] std::string directory_warning(const std::string& path, const DirectoryFacts& facts);

}  // namespace tarn::job
