// job_test.cpp - recorded environments of launchers, Slurm's lists, the choice of a scratch directory.
#include "job/job_env.hpp"

#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "job/node_list.hpp"
#include "job/scratch.hpp"
#include "support/temporary_directory.hpp"

using namespace tarn;
using namespace tarn::job;
using Names = std::vector<std::string>;

TEST_CASE("expand_node_list: ranges, zeros, several brackets, plain names", "[job]") {
  CHECK(*expand_node_list("") == Names{});
  CHECK(*expand_node_list("gpu1") == Names{"gpu1"});
  CHECK(*expand_node_list("nid[001-003,7],gpu1") == Names{"nid001", "nid002", "nid003", "nid7", "gpu1"});
  CHECK(*expand_node_list("n[8-11]") == Names{"n8", "n9", "n10", "n11"});
  CHECK(*expand_node_list("n[098-101]-ib") == Names{"n098-ib", "n099-ib", "n100-ib", "n101-ib"});
  CHECK(*expand_node_list("r[0-1]n[1-2]") == Names{"r0n1", "r0n2", "r1n1", "r1n2"});
  CHECK(expand_node_list("nid[000001-100000]")->size() == 100'000);
}

TEST_CASE("expand_node_list: malformed lists are refused", "[job]") {
  for (const char* list :
       {"a[1-2", "a1-2]", "a[[1]]", "a[]", "a[2-1]", "a[x]", "a,,b", ",", "a[1-]", "a[1,]", "a[1-99999999999]", "a[0-99999]b[0-9]"}) {
    INFO(list);
    const auto names = expand_node_list(list);
    REQUIRE(!names);
    CHECK(names.error().code == ErrorCode::invalid);
  }
}

TEST_CASE("expand_task_counts: repeats", "[job]") {
  CHECK(*expand_task_counts("2(x3),1") == std::vector<unsigned>{2, 2, 2, 1});
  CHECK(*expand_task_counts("16") == std::vector<unsigned>{16});
  CHECK(expand_task_counts("")->empty());
  for (const char* counts : {"x", "2(x", "2(x)", "2(3)", "2,", "2(x4000000000)"}) {
    INFO(counts);
    CHECK(!expand_task_counts(counts));
  }
}

TEST_CASE("read_job_env: nothing but a shell", "[job]") {
  const JobEnv env = read_job_env({{"USER", "ada"}, {"HOME", "/home/ada"}});
  CHECK(env.launcher == Launcher::none);
  CHECK(!env.in_slurm);
  CHECK(!env.size);
  CHECK(!launcher_disagreement(env, 1));
  CHECK(scratch_name(env) == "ada-tarn");
}

TEST_CASE("read_job_env: srun step", "[job]") {
  const JobEnv env = read_job_env({{"SLURM_JOB_ID", "4711"},
                                   {"SLURM_STEP_ID", "0"},
                                   {"SLURM_PROCID", "5"},
                                   {"SLURM_LOCALID", "1"},
                                   {"SLURM_NODEID", "2"},
                                   {"SLURM_NTASKS", "64"},
                                   {"SLURM_STEP_NUM_TASKS", "7"},
                                   {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
                                   {"SLURM_JOB_NODELIST", "nid[001-008]"},
                                   {"SLURM_STEP_NODELIST", "nid[001-004]"},
                                   {"SLURM_RESTART_COUNT", "2"},
                                   {"SLURM_CPUS_PER_TASK", "4"},
                                   {"SLURM_JOB_END_TIME", "1893456000"},
                                   {"SLURM_STEP_GPUS", "0,1"},
                                   {"PMIX_RANK", "5"},
                                   {"USER", "ada"}});
  CHECK(env.launcher == Launcher::slurm);
  CHECK(env.in_slurm);
  CHECK(env.size == 7);  // of the step, not of the job
  CHECK(env.rank == 5);
  CHECK(env.local_rank == 1);
  CHECK(env.local_size == 2);
  CHECK(env.nodes == Names{"nid001", "nid002", "nid003", "nid004"});
  CHECK(env.restart_count == 2);
  CHECK(env.cpus_per_task == 4U);
  CHECK(env.end_time_s == 1893456000);
  CHECK(env.gpus == "0,1");
  CHECK(scratch_name(env) == "ada-tarn-4711");
  CHECK(!launcher_disagreement(env, 7));
  const auto text = launcher_disagreement(env, 1);
  REQUIRE(text);
  CHECK_THAT(*text, Catch::Contains("srun started 7") && Catch::Contains("srun --mpi=pmix"));
}

TEST_CASE("read_job_env: srun --mpi=pmi2 is srun, not MPICH's mpiexec", "[job]") {
  const JobEnv env =
      read_job_env({{"SLURM_JOB_ID", "1"}, {"SLURM_STEP_ID", "3"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"PMI_SIZE", "2"}});
  CHECK(env.launcher == Launcher::slurm);
  CHECK(env.step_id == "3");
}

TEST_CASE("read_job_env: mpirun inside Slurm: the step belongs to its daemons", "[job]") {
  const JobEnv env = read_job_env({{"SLURM_JOB_ID", "4711"},
                                   {"SLURM_STEP_ID", "0"},
                                   {"SLURM_PROCID", "1"},
                                   {"SLURM_STEP_NUM_TASKS", "3"},
                                   {"SLURM_STEP_NODELIST", "nid[002-004]"},
                                   {"SLURM_STEP_TASKS_PER_NODE", "1(x3)"},
                                   {"SLURM_JOB_NODELIST", "nid[001-004]"},
                                   {"OMPI_COMM_WORLD_SIZE", "16"},
                                   {"OMPI_COMM_WORLD_RANK", "6"},
                                   {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                                   {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}});
  CHECK(env.launcher == Launcher::open_mpi);
  CHECK(env.size == 16);
  CHECK(env.rank == 6);
  CHECK(env.local_rank == 2);
  CHECK(env.local_size == 4);
  CHECK(env.nodes.size() == 4);
  CHECK(env.job_id == "4711");
}

TEST_CASE("read_job_env: a program started by the batch script itself is alone", "[job]") {
  const JobEnv env = read_job_env({{"SLURM_JOB_ID", "9"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_NODELIST", "n1"}});
  CHECK(env.launcher == Launcher::none);
  CHECK(env.in_slurm);
  CHECK(!launcher_disagreement(env, 1));
}

TEST_CASE("read_job_env: MPICH's mpiexec; malformed numbers count as missing", "[job]") {
  const JobEnv env = read_job_env({{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}, {"MPI_LOCALRANKID", "x"}, {"MPI_LOCALNRANKS", "-4"}});
  CHECK(env.launcher == Launcher::hydra);
  CHECK(env.size == 4);
  CHECK(env.rank == 3);
  CHECK(!env.local_rank);
  CHECK(!env.local_size);
  CHECK(launcher_disagreement(env, 1));
}

namespace {

DirectoryFacts facts(FileSystemKind kind, const char* name, bool writable = true) {
  return {true, writable, {name, kind}, {1ULL << 40, 1ULL << 39}};
}

ScratchChoice choose(const Environment& environment, const std::map<std::string, DirectoryFacts>& disks, ScratchRules rules = {}) {
  return choose_scratch(
      environment, [&](const std::string& path) { return disks.contains(path) ? disks.at(path) : DirectoryFacts{}; }, rules);
}

}  // namespace

TEST_CASE("choose_scratch: the first writable local one, in the documented order", "[job]") {
  const Environment environment{{"USER", "ada"}, {"SLURM_TMPDIR", "/job/tmp/"}, {"TMPDIR", "/tmp"}, {"JOBFS", "/jobfs"}};
  std::map<std::string, DirectoryFacts> disks{{"/tmp", facts(FileSystemKind::memory, "tmpfs")},
                                              {"/jobfs", facts(FileSystemKind::local, "xfs")},
                                              {"/job/tmp", facts(FileSystemKind::network, "lustre")},
                                              {"/mnt/bb/ada", facts(FileSystemKind::local, "ext4", false)}};
  auto choice = choose(environment, disks);
  Names order;
  for (const auto& candidate : choice.candidates) order.push_back(candidate.path);
  CHECK(order == Names{"/job/tmp", "/mnt/bb/ada", "/jobfs", "/local/scratch", "/tmp"});
  REQUIRE(choice.chosen);
  CHECK(choice.candidates[*choice.chosen].path == "/jobfs");
  CHECK(choice.warning.empty());
  CHECK_THAT(choice.candidates[0].verdict, Catch::Contains("lustre") && Catch::Contains("--dir"));
  CHECK_THAT(choice.candidates[1].verdict, Catch::Contains("not writable"));

  SECTION("a network file system when allowed, with a warning") {
    choice = choose(environment, disks, {.allow_network = true});
    REQUIRE(choice.chosen);
    CHECK(choice.candidates[*choice.chosen].path == "/job/tmp");
    CHECK_THAT(choice.warning, Catch::Contains("lustre"));
  }
  SECTION("tmpfs as a last resort, with a warning") {
    disks.erase("/jobfs");
    choice = choose(environment, disks);
    REQUIRE(choice.chosen);
    CHECK(choice.candidates[*choice.chosen].path == "/tmp");
    CHECK_THAT(choice.warning, Catch::Contains("memory"));
  }
  SECTION("nothing") {
    CHECK(!choose(environment, {}).chosen);
  }
  SECTION("$TARN_DIR comes first") {
    Environment named = environment;
    named["TARN_DIR"] = "/mine";
    disks["/mine"] = facts(FileSystemKind::local, "ext4");
    choice = choose(named, disks);
    CHECK(choice.chosen == 0U);
    CHECK(choice.candidates[0].source == "$TARN_DIR");
  }
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
