// job_env_test.cpp - environments of launchers, made up: what each rule of reading them is for. Recorded ones: recorded_test.cpp.
#include "job/job_env.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace tarn;
using namespace tarn::job;
using Names = std::vector<std::string>;

TEST_CASE("read_job_env: nothing but a shell", "[job]") {
  const JobEnv env = read_job_env({{"USER", "ada"}, {"HOME", "/home/ada"}});
  CHECK(env.launcher == Launcher::none);
  CHECK(env.place == SlurmPlace::none);
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
                                   {"SLURM_STEP_GPUS", "2,3"},
                                   {"CUDA_VISIBLE_DEVICES", "0,1"},
                                   {"PMIX_RANK", "5"},
                                   {"USER", "ada"}});
  CHECK(env.launcher == Launcher::slurm);
  CHECK(env.place == SlurmPlace::step);
  CHECK(env.size == 7);  // of the step, not of the job
  CHECK(env.rank == 5);
  CHECK(env.local_rank == 1);
  CHECK(env.local_size == 2);
  CHECK(env.nodes == Names{"nid001", "nid002", "nid003", "nid004"});
  CHECK(env.restart_count == 2);
  CHECK(env.cpus_per_task == 4U);
  CHECK(env.end_time_s == 1893456000);
  CHECK(env.gpus == Names{"0", "1"});
  CHECK(env.slurm_gpus == "2,3");
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
  CHECK(env.place == SlurmPlace::batch);
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

TEST_CASE("read_job_env: inherited variables of mpirun do not hide srun", "[job]") {
  const JobEnv env = read_job_env({{"SLURM_JOB_ID", "1"},
                                   {"SLURM_STEP_ID", "0"},
                                   {"SLURM_PROCID", "3"},
                                   {"SLURM_STEP_NUM_TASKS", "4"},
                                   {"PMIX_NAMESPACE", "slurm.pmix.1.0"},
                                   {"OMPI_COMM_WORLD_SIZE", "2"},
                                   {"OMPI_COMM_WORLD_RANK", "0"}});
  CHECK(env.launcher == Launcher::slurm);
  CHECK(env.size == 4);
  CHECK(env.rank == 3);
}

TEST_CASE("read_job_env: steps that are none of srun's", "[job]") {
  for (const char* step : {"4294967290", "4294967291", "4294967292", "x"}) {
    INFO(step);
    const JobEnv env = read_job_env({{"SLURM_JOB_ID", "1"}, {"SLURM_STEP_ID", step}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}});
    CHECK(env.launcher == Launcher::none);
    CHECK(env.place == SlurmPlace::batch);
    CHECK(!env.size);
    CHECK(env.step_id.empty());
  }
}

TEST_CASE("read_job_env: an array's task", "[job]") {
  const JobEnv env = read_job_env({{"SLURM_JOB_ID", "4713"}, {"SLURM_ARRAY_JOB_ID", "4710"}, {"SLURM_ARRAY_TASK_ID", "3"}, {"USER", "user"}});
  CHECK(env.array == ArrayTask{"4710", "3"});
  CHECK(job_name(env) == "4710_3");
  CHECK(scratch_name(env) == "user-tarn-4713");
}

TEST_CASE("read_job_env: a het job has one id and the nodes of all components", "[job]") {
  Environment environment{{"SLURM_JOB_ID", "8"},
                          {"SLURM_HET_SIZE", "2"},
                          {"SLURM_JOB_ID_HET_GROUP_0", "7"},
                          {"SLURM_JOB_ID_HET_GROUP_1", "8"},
                          {"SLURM_JOB_NODELIST", "n[3-4]"},
                          {"SLURM_JOB_NODELIST_HET_GROUP_0", "n[1-2]"},
                          {"SLURM_JOB_NODELIST_HET_GROUP_1", "n[2-4]"}};
  const JobEnv env = read_job_env(environment);
  CHECK(env.job_id == "7");
  CHECK(env.het_groups == 2);
  CHECK(env.nodes == Names{"n1", "n2", "n3", "n4"});
  environment["SLURM_HET_SIZE"] = "4000000000";  // no loop over what cannot be
  CHECK(read_job_env(environment).het_groups == 128);
}

TEST_CASE("read_job_env: GPUs that this process may use", "[job]") {
  CHECK(read_job_env({{"CUDA_VISIBLE_DEVICES", "0,GPU-1b2c,3"}}).gpus == Names{"0", "GPU-1b2c", "3"});
  CHECK(read_job_env({{"ROCR_VISIBLE_DEVICES", "1"}}).gpus == Names{"1"});
  CHECK(read_job_env({{"CUDA_VISIBLE_DEVICES", "NoDevFiles"}}).gpus.empty());
  CHECK(read_job_env({{"CUDA_VISIBLE_DEVICES", "0,-1,1"}}).gpus == Names{"0"});
  CHECK(read_job_env({{"CUDA_VISIBLE_DEVICES", ""}}).gpus.empty());
}
