#include "job/scratch.hpp"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/error.hpp"
#include "base/text.hpp"

namespace tarn::job {

namespace {

struct MagicRow {
  std::uint32_t magic;
  const char* name;
  FileSystemKind kind;
};

// linux/magic.h and the file systems' own sources.
constexpr MagicRow kMagics[] = {
    {0x0000ef53, "ext4", FileSystemKind::local},       {0x58465342, "xfs", FileSystemKind::local},
    {0x9123683e, "btrfs", FileSystemKind::local},      {0x2fc12fc1, "zfs", FileSystemKind::local},
    {0xf2f52010, "f2fs", FileSystemKind::local},       {0x794c7630, "overlay", FileSystemKind::local},
    {0xca451a4e, "bcachefs", FileSystemKind::local},   {0x3153464a, "jfs", FileSystemKind::local},
    {0x52654973, "reiserfs", FileSystemKind::local},   {0x01021994, "tmpfs", FileSystemKind::memory},
    {0x858458f6, "ramfs", FileSystemKind::memory},     {0x0bd00bd0, "lustre", FileSystemKind::network},
    {0x47504653, "gpfs", FileSystemKind::network},     {0x00006969, "nfs", FileSystemKind::network},
    {0x19830326, "beegfs", FileSystemKind::network},   {0x00c36400, "ceph", FileSystemKind::network},
    {0xff534d42, "cifs", FileSystemKind::network},     {0xfe534d42, "smb", FileSystemKind::network},
    {0x0000517b, "smb", FileSystemKind::network},      {0xaad7aaea, "panfs", FileSystemKind::network},
    {0x20030528, "orangefs", FileSystemKind::network}, {0x5346414f, "afs", FileSystemKind::network},
    {0x6b414653, "afs", FileSystemKind::network},      {0x01021997, "9p", FileSystemKind::network},
    {0x7461636f, "ocfs2", FileSystemKind::network},    {0x01161970, "gfs2", FileSystemKind::network},
    {0x65735546, "fuse", FileSystemKind::unknown},
};

constexpr std::string_view kAskedFor = "$TARN_DIR";
constexpr const char* kFixedPlaces[] = {"/local/scratch", "/tmp"};

void add(std::vector<ScratchCandidate>& candidates, std::string path, std::string source) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto same = [&](const ScratchCandidate& candidate) { return candidate.path == path; };
  if (path.empty() || std::any_of(candidates.begin(), candidates.end(), same)) return;
  candidates.push_back({std::move(path), std::move(source), {}, {}});
}

/// $TARN_DIR says what the user wants; the others, what the site has.
bool is_asked_for(const ScratchCandidate& candidate) {
  return candidate.source == kAskedFor;
}

std::string reason_against(const ScratchCandidate& candidate) {
  if (!candidate.facts.exists) return "is not a directory";
  if (!candidate.facts.writable) return "is not writable";
  if (is_asked_for(candidate)) return {};
  if (candidate.facts.file_system.kind == FileSystemKind::network)
    return "is on a network file system (" + candidate.facts.file_system.name + "), taken only when asked for by --dir or $TARN_DIR";
  if (candidate.facts.shared_memory) return "is the shared memory that MPI needs, taken only when asked for by --dir or $TARN_DIR";
  return {};
}

bool is_below(const std::string& path, std::string_view directory) {
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

FileSystemType file_system_type(std::uint64_t magic) {
  for (const MagicRow& row : kMagics)
    if (row.magic == static_cast<std::uint32_t>(magic)) return {row.name, row.kind};
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(magic));
  return {text, FileSystemKind::unknown};
}

DirectoryFacts probe_directory(const std::string& path) {
  DirectoryFacts facts;
  struct stat status {};
  struct statfs system {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || ::statfs(path.c_str(), &system) != 0) return facts;
  facts.exists = true;
  facts.writable = ::access(path.c_str(), W_OK | X_OK) == 0;
  facts.file_system = file_system_type(static_cast<std::uint64_t>(system.f_type));
  const auto block_bytes = static_cast<std::uint64_t>(system.f_bsize);
  std::error_code ignored;
  facts.shared_memory = is_below(std::filesystem::canonical(path, ignored).string(), "/dev/shm");
  facts.space = {system.f_blocks * block_bytes, system.f_bavail * block_bytes};
  return facts;
}

std::vector<ScratchCandidate> scratch_candidates(const Environment& environment) {
  std::vector<ScratchCandidate> candidates;
  const auto add_variable = [&](const char* name) { add(candidates, std::string(value_of(environment, name)), std::string("$") + name); };
  for (const char* name : {"TARN_DIR", "SLURM_TMPDIR", "LOCAL_SCRATCH", "BBPATH"}) add_variable(name);
  if (const auto user = value_of(environment, "USER"); !user.empty()) add(candidates, "/mnt/bb/" + std::string(user), "built in");
  add_variable("JOBFS");
  add(candidates, kFixedPlaces[0], "built in");
  add_variable("TMPDIR");
  add(candidates, kFixedPlaces[1], "built in");
  return candidates;
}

ScratchChoice choose_scratch(const Environment& environment, const DirectoryProbe& probe) {
  ScratchChoice choice;
  choice.candidates = scratch_candidates(environment);
  for (std::size_t i = 0; i < choice.candidates.size(); ++i) {
    ScratchCandidate& candidate = choice.candidates[i];
    candidate.facts = probe(candidate.path);
    candidate.verdict = reason_against(candidate);
    if (candidate.verdict.empty() && !choice.chosen) choice.chosen = i;
    if (is_asked_for(candidate) && !candidate.verdict.empty()) {
      choice.refusal =
          "$TARN_DIR is " + candidate.path + ", which " + candidate.verdict + "; make it, set another one, or name a directory with --dir";
      return choice;
    }
  }
  if (!choice.chosen)
    choice.refusal = "no scratch directory was found (`tarn doctor` shows where it is looked for); name one with --dir, or set $TARN_DIR";
  return choice;
}

std::string describe(const ScratchCandidate& candidate) {
  return candidate.path + " (" + candidate.source + ", " + candidate.facts.file_system.name + ", " +
         base::format_size(candidate.facts.space.capacity_bytes) + ", " + base::format_size(candidate.facts.space.free_bytes) + " free)";
}

std::vector<std::string> explain(const ScratchChoice& choice) {
  std::vector<std::string> lines;
  if (!choice.chosen) return lines;
  const ScratchCandidate& chosen = choice.candidates[*choice.chosen];
  lines.push_back("scratch directory " + describe(chosen) +
                  (is_asked_for(chosen) ? ", as asked for" : ", the first of the known places that can be used"));
  for (std::size_t i = 0; i < *choice.chosen; ++i) {
    const ScratchCandidate& other = choice.candidates[i];
    if (other.facts.exists) lines.push_back("passed over " + other.path + " (" + other.source + "): it " + other.verdict);
  }
  return lines;
}

Result<void> make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return fail(base::errno_error(errno, "make directory", path));
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return fail(base::errno_error(errno, "look at", path));
  if (S_ISDIR(status.st_mode) && status.st_uid == ::geteuid()) return {};
  return fail(ErrorCode::denied, path + (S_ISDIR(status.st_mode) ? " belongs to another user" : " is not a directory") +
                                     ", so the store's disks cannot lie there; name another place with --dir, or set $TARN_DIR");
}

std::string directory_warning(const std::string& path, const DirectoryFacts& facts) {
  switch (facts.file_system.kind) {
    case FileSystemKind::memory:
      return path + " is " + facts.file_system.name + ": what the store holds counts as the job's memory (" +
             base::format_size(facts.space.free_bytes) + " free)";
    case FileSystemKind::network:
      return path + " is a network file system (" + facts.file_system.name +
             "): other users share its speed, and each rank needs a directory of its own";
    case FileSystemKind::unknown:
      return facts.exists ? path + " is on a file system that Tarn does not know (" + facts.file_system.name + ")" : std::string();
    case FileSystemKind::local:
      break;
  }
  return {};
}

}  // namespace tarn::job
