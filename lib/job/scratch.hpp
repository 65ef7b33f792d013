// scratch.hpp - the directory for a store's disks when nobody names one: probed, judged, explained.
// Level 2 (job). choose_scratch() is pure given its probe; probe_directory() asks the operating system.
//
// Order (facts of many sites): $TARN_DIR, $SLURM_TMPDIR, $LOCAL_SCRATCH, $BBPATH, /mnt/bb/$USER, $JOBFS,
// /local/scratch, $TMPDIR, /tmp. The first writable one on a local file system wins.
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
  std::string warning;  ///< about the chosen one; empty: none
};

struct ScratchRules {
  bool allow_network = false;
};

/// Each variable that is set, and the fixed places, in probe order without repetition.
[[nodiscard]] std::vector<ScratchCandidate> scratch_candidates(const Environment& environment);
[[nodiscard]] ScratchChoice choose_scratch(const Environment& environment, const DirectoryProbe& probe, const ScratchRules& rules = {});

/// What is to be said about a directory that somebody named: empty when it is on a local disk.
[[nodiscard]] std::string directory_warning(const std::string& path, const DirectoryFacts& facts);

}  // namespace tarn::job
