// scratch_test.cpp - the choice of a scratch directory, by fake probes and by a real one.
#include "job/scratch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::job;
using Names = std::vector<std::string>;

namespace {

DirectoryFacts facts(FileSystemKind kind, const char* name, bool writable = true) {
  return {true, writable, {name, kind}, {1ULL << 40, 1ULL << 39}};
}

using Disks = std::map<std::string, DirectoryFacts>;

ScratchChoice choose(const Environment& environment, const Disks& disks) {
  return choose_scratch(environment, [&](const std::string& path) { return disks.contains(path) ? disks.at(path) : DirectoryFacts{}; });
}

std::string chosen_path(const ScratchChoice& choice) {
  return choice.chosen ? choice.candidates[*choice.chosen].path : "none";
}

}  // namespace

TEST_CASE("scratch_candidates: every place, in the documented order, each once", "[job][scratch]") {
  const Environment all{{"USER", "user"},  {"TARN_DIR", "/1"}, {"SLURM_TMPDIR", "/2"}, {"LOCAL_SCRATCH", "/3"},
                        {"BBPATH", "/4/"}, {"JOBFS", "/6"},    {"TMPDIR", "/8"}};
  Names order;
  for (const auto& candidate : scratch_candidates(all)) order.push_back(candidate.source + " " + candidate.path);
  CHECK(order == Names{"$TARN_DIR /1", "$SLURM_TMPDIR /2", "$LOCAL_SCRATCH /3", "$BBPATH /4", "built in /mnt/bb/user", "$JOBFS /6",
                       "built in /local/scratch", "$TMPDIR /8", "built in /tmp"});
  CHECK(scratch_candidates({{"TMPDIR", "/tmp"}, {"SLURM_TMPDIR", "/tmp/"}}).size() == 2);
  CHECK(scratch_candidates({}).size() == 2);
}

TEST_CASE("choose_scratch: each place is taken when those before it cannot be", "[job][scratch]") {
  const Environment all{{"USER", "user"}, {"SLURM_TMPDIR", "/2"}, {"LOCAL_SCRATCH", "/3"}, {"BBPATH", "/4"}, {"JOBFS", "/6"}, {"TMPDIR", "/8"}};
  Disks disks;
  const auto candidates = scratch_candidates(all);
  for (const auto& candidate : candidates) disks[candidate.path] = facts(FileSystemKind::local, "xfs");
  for (const auto& candidate : candidates) {
    CHECK(chosen_path(choose(all, disks)) == candidate.path);
    disks[candidate.path].writable = false;
  }
  const auto none = choose(all, disks);
  CHECK(!none.chosen);
  CHECK_THAT(none.refusal, Catch::Contains("--dir") && Catch::Contains("$TARN_DIR"));
}

TEST_CASE("choose_scratch: network file systems and shared memory are passed over, tmpfs is not", "[job][scratch]") {
  const Environment environment{{"SLURM_TMPDIR", "/job/tmp/"}, {"LOCAL_SCRATCH", "/dev/shm/user"}, {"JOBFS", "/jobfs"}};
  Disks disks{{"/job/tmp", facts(FileSystemKind::network, "lustre")},
              {"/dev/shm/user", facts(FileSystemKind::memory, "tmpfs")},
              {"/jobfs", facts(FileSystemKind::memory, "tmpfs")},
              {"/tmp", facts(FileSystemKind::local, "ext4")}};
  disks["/dev/shm/user"].shared_memory = true;
  const auto choice = choose(environment, disks);
  REQUIRE(chosen_path(choice) == "/jobfs");
  CHECK_THAT(choice.candidates[0].verdict, Catch::Contains("lustre") && Catch::Contains("--dir"));
  CHECK_THAT(choice.candidates[1].verdict, Catch::Contains("shared memory") && Catch::Contains("--dir"));
  CHECK_THAT(directory_warning("/jobfs", choice.candidates[2].facts), Catch::Contains("memory"));
  const auto lines = explain(choice);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "scratch directory /jobfs ($JOBFS, tmpfs, 1.0 TiB, 512.0 GiB free), the first of the known places that can be used");
  CHECK_THAT(lines[1], Catch::StartsWith("passed over /job/tmp ($SLURM_TMPDIR): it is on a network file system (lustre)"));
}

TEST_CASE("choose_scratch: $TARN_DIR is taken wherever it is, and nothing instead of it", "[job][scratch]") {
  const Environment environment{{"TARN_DIR", "/mine"}, {"LOCAL_SCRATCH", "/scratch"}};
  Disks disks{{"/scratch", facts(FileSystemKind::local, "xfs")}};
  for (const auto& [kind, name] :
       {std::pair(FileSystemKind::local, "ext4"), {FileSystemKind::network, "lustre"}, {FileSystemKind::memory, "tmpfs"}}) {
    disks["/mine"] = facts(kind, name);
    disks["/mine"].shared_memory = kind == FileSystemKind::memory;
    const auto choice = choose(environment, disks);
    CHECK(chosen_path(choice) == "/mine");
    CHECK_THAT(explain(choice).front(), Catch::EndsWith("as asked for"));
  }
  disks["/mine"].writable = false;
  CHECK(!choose(environment, disks).chosen);
  CHECK_THAT(choose(environment, disks).refusal, Catch::StartsWith("$TARN_DIR is /mine, which is not writable; "));
  disks.erase("/mine");
  CHECK_THAT(choose(environment, disks).refusal, Catch::StartsWith("$TARN_DIR is /mine, which is not a directory; "));
}

TEST_CASE("file_system_type: known magics, unknown in hex", "[job]") {
  CHECK(file_system_type(0xef53).name == "ext4");
  CHECK(file_system_type(0x0bd00bd0).kind == FileSystemKind::network);
  CHECK(file_system_type(0xffffffffff534d42).name == "cifs");  // f_type is signed on some machines
  CHECK(file_system_type(0x1234).name == "0x1234");
  CHECK(file_system_type(0x1234).kind == FileSystemKind::unknown);
}

TEST_CASE("probe_directory: a real directory, a file, nothing", "[job]") {
  const tests::TemporaryDirectory directory;
  const DirectoryFacts real = probe_directory(directory.path());
  CHECK(real.exists);
  CHECK(real.writable);
  CHECK(!real.file_system.name.empty());
  CHECK(real.space.capacity_bytes >= real.space.free_bytes);
  CHECK(!probe_directory("/proc/self/status").exists);
  CHECK(!probe_directory(directory.file("missing")).exists);
  CHECK(probe_directory("/proc").exists);
}

TEST_CASE("probe_directory: shared memory by any name", "[job][scratch]") {
  const tests::TemporaryDirectory directory;
  std::filesystem::create_directory_symlink("/dev/shm", directory.file("link"));
  CHECK(probe_directory("/dev/shm").shared_memory);
  CHECK(probe_directory(directory.file("link")).shared_memory);
  CHECK(!probe_directory("/dev").shared_memory);
}

TEST_CASE("make_private_directory: ours alone, made or found; nothing else is taken for it", "[job][scratch]") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.file("user-tarn-1");
  REQUIRE(make_private_directory(path));
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  CHECK(make_private_directory(path));  // another rank was faster

  std::ofstream(directory.file("file")) << "x";
  CHECK(make_private_directory(directory.file("file")).error().code == ErrorCode::denied);
  std::filesystem::create_directory_symlink("/", directory.file("link"));
  CHECK(make_private_directory(directory.file("link")).error().code == ErrorCode::denied);
  CHECK(make_private_directory(directory.file("missing/one")).error().code == ErrorCode::not_found);
  if (::geteuid() == 0) {
    REQUIRE(::chown(path.c_str(), 12345, 12345) == 0);
    const auto foreign = make_private_directory(path);
    REQUIRE(!foreign);
    CHECK(foreign.error().code == ErrorCode::denied);
    CHECK_THAT(foreign.error().message, Catch::Contains("another user"));
  }
}
