// recorded_test.cpp - environments recorded on a Slurm 22.05 of four nodes (environments/*.env; names and addresses replaced), and how they read.
//
// The job: 7 tasks on n1..n4, 2 CPUs each, a GPU on each node. Under mpirun the first rank of n1 is started by mpirun itself, in
// the batch script's environment; those of other nodes inherit the step of mpirun's daemons (environments/mpirun.env: SLURM_PROCID 0,
// SLURM_STEP_NODELIST n[2-4] for rank 3 on n2).
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "job/job_env.hpp"

using namespace tarn;
using namespace tarn::job;

namespace {

Environment recorded(const std::string& name) {
  const std::string path = std::string(TARN_TEST_ENVIRONMENTS) + "/" + name + ".env";
  std::ifstream file(path);
  INFO(path);
  REQUIRE(file);
  Environment environment;
  for (std::string line; std::getline(file, line);) {
    const auto equals = line.find('=');
    REQUIRE(equals != std::string::npos);
    environment.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return environment;
}

std::string number(const auto& optional) {
  return optional ? std::to_string(*optional) : "?";
}

std::string place(SlurmPlace place) {
  return place == SlurmPlace::none ? "none" : place == SlurmPlace::batch ? "batch" : "step";
}

/// Everything that is in a JobEnv, in one line.
std::string line_of(const JobEnv& env) {
  std::string line = std::string(to_string(env.launcher)) + " rank " + number(env.rank) + "/" + number(env.size) + " local " +
                     number(env.local_rank) + "/" + number(env.local_size) + "; " + place(env.place) + " " + job_name(env) + "." + env.step_id +
                     " id " + env.job_id + " het " + std::to_string(env.het_groups) + " restarts " + std::to_string(env.restart_count) + "; nodes";
  for (const std::string& node : env.nodes) line += " " + node;
  line += "; tasks";
  for (const unsigned count : env.tasks_per_node) line += " " + std::to_string(count);
  line += "; cpus " + number(env.cpus_per_task) + " end " + number(env.end_time_s) + " gpus";
  for (const std::string& gpu : env.gpus) line += " " + gpu;
  return line + " (" + env.slurm_gpus + ") " + scratch_name(env);
}

const std::vector<std::pair<std::string, std::string>> kRecorded{
    {"none", "none rank ?/? local ?/?; none . id  het 0 restarts 0; nodes; tasks; cpus ? end ? gpus () user-tarn"},
    {"batch", "none rank ?/? local ?/?; batch 1. id 1 het 0 restarts 0; nodes n1 n2 n3 n4; tasks; cpus 2 end ? gpus 0 (0) user-tarn-1"},
    {"step", "srun rank 3/7 local 1/2; step 1.0 id 1 het 0 restarts 0; nodes n1 n2 n3 n4; tasks 2 2 2 1; cpus 2 end ? gpus 0 (0) user-tarn-1"},
    {"step_last", "srun rank 6/7 local 0/1; step 1.0 id 1 het 0 restarts 0; nodes n1 n2 n3 n4; tasks 2 2 2 1; cpus 2 end ? gpus 0 (0) user-tarn-1"},
    // A second step beside it (--overlap), on three of the nodes.
    {"overlap", "srun rank 1/3 local 0/1; step 1.1 id 1 het 0 restarts 0; nodes n1 n2 n3; tasks 1 1 1; cpus 2 end ? gpus 0 (0) user-tarn-1"},
    // srun without a batch script.
    {"srun", "srun rank 1/3 local 1/2; step 6.0 id 6 het 0 restarts 0; nodes n1 n2; tasks 2 1; cpus ? end ? gpus () user-tarn-6"},
    {"mpirun_first_node",
     "mpirun (Open MPI) rank 0/7 local 0/2; batch 1. id 1 het 0 restarts 0; nodes n1 n2 n3 n4; tasks; cpus 2 end ? gpus 0 (0) user-tarn-1"},
    {"mpirun", "mpirun (Open MPI) rank 3/7 local 1/2; batch 1. id 1 het 0 restarts 0; nodes n1 n2 n3 n4; tasks; cpus 2 end ? gpus 0 (0) user-tarn-1"},
    // Jobs 2 and 3 are the components; `srun --het-group=0,1` makes one step of both.
    {"het_batch", "none rank ?/? local ?/?; batch 2. id 2 het 2 restarts 0; nodes n1 n2 n3; tasks; cpus ? end ? gpus () user-tarn-2"},
    {"het_first", "srun rank 0/5 local 0/2; step 2.0 id 2 het 2 restarts 0; nodes n1 n2 n3; tasks 2 2 1; cpus ? end ? gpus () user-tarn-2"},
    {"het_last", "srun rank 4/5 local 0/1; step 2.0 id 2 het 2 restarts 0; nodes n1 n2 n3; tasks 2 2 1; cpus ? end ? gpus 0 1 (0,1) user-tarn-2"},
    // --array=3,7: the last task has the array's own id, the others have one of theirs.
    {"array_batch", "none rank ?/? local ?/?; batch 4_3. id 5 het 0 restarts 0; nodes n1 n2; tasks; cpus ? end ? gpus () user-tarn-5"},
    {"array", "srun rank 2/3 local 0/1; step 4_3.0 id 5 het 0 restarts 0; nodes n1 n2; tasks 2 1; cpus ? end ? gpus () user-tarn-5"},
    {"array_last", "srun rank 0/3 local 0/2; step 4_7.0 id 4 het 0 restarts 0; nodes n1 n2; tasks 2 1; cpus ? end ? gpus () user-tarn-4"},
};

}  // namespace

TEST_CASE("read_job_env: recorded environments", "[job][recorded]") {
  for (const auto& [name, line] : kRecorded) {
    INFO(name);
    CHECK(line_of(read_job_env(recorded(name))) == line);
  }
}

TEST_CASE("read_job_env: a rank counts the same processes as MPI would", "[job][recorded]") {
  CHECK(!launcher_disagreement(read_job_env(recorded("mpirun")), 7));  // not the 3 of SLURM_NTASKS, which are mpirun's daemons
  CHECK(!launcher_disagreement(read_job_env(recorded("het_last")), 5));
  CHECK(launcher_disagreement(read_job_env(recorded("step")), 1));
}
