#include "job/job_env.hpp"

#include <unistd.h>

#include <algorithm>

#include "job/slurm_env.hpp"

namespace tarn::job {

namespace {

/// The devices that the GPU libraries will see; what stands behind an id that they do not take is not seen either.
std::vector<std::string> visible_gpus(const Environment& environment) {
  const std::string ids = first_of(environment, {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"});
  std::vector<std::string> gpus;
  std::size_t begin = 0;
  while (begin < ids.size()) {
    const std::size_t end = std::min(ids.find(',', begin), ids.size());
    std::string id = ids.substr(begin, end - begin);
    if (id.empty() || id == "-1" || id == "NoDevFiles") break;
    gpus.push_back(std::move(id));
    begin = end + 1;
  }
  return gpus;
}

Launcher launcher_of(const Environment& environment) {
  const bool step = is_step_task(environment);
  // Slurm's PMIx names its namespaces so. A job that was submitted from a rank of mpirun may have inherited OMPI_*.
  if (step && value_of(environment, "PMIX_NAMESPACE").starts_with("slurm.")) return Launcher::slurm;
  if (environment.contains("OMPI_COMM_WORLD_SIZE")) return Launcher::open_mpi;
  // srun sets PMI_* as well (--mpi=pmi2), mpiexec of MPICH below Slurm keeps SLURM_* of its proxies: only hydra names MPI_LOCALNRANKS.
  if (environment.contains("PMI_SIZE") && (environment.contains("MPI_LOCALNRANKS") || !step)) return Launcher::hydra;
  if (step) return Launcher::slurm;
  return Launcher::none;
}

void read_ranks(const Environment& environment, JobEnv& env) {
  switch (env.launcher) {
    case Launcher::open_mpi:
      env.size = number_of<int>(environment, {"OMPI_COMM_WORLD_SIZE"});
      env.rank = number_of<int>(environment, {"OMPI_COMM_WORLD_RANK"});
      env.local_rank = number_of<int>(environment, {"OMPI_COMM_WORLD_LOCAL_RANK"});
      env.local_size = number_of<int>(environment, {"OMPI_COMM_WORLD_LOCAL_SIZE"});
      break;
    case Launcher::hydra:
      env.size = number_of<int>(environment, {"PMI_SIZE"});
      env.rank = number_of<int>(environment, {"PMI_RANK"});
      env.local_rank = number_of<int>(environment, {"MPI_LOCALRANKID"});
      env.local_size = number_of<int>(environment, {"MPI_LOCALNRANKS"});
      break;
    case Launcher::slurm:  // slurm_env.cpp
    case Launcher::none:
      break;
  }
}

}  // namespace

std::string_view to_string(Launcher launcher) noexcept {
  switch (launcher) {
    case Launcher::none:
      return "none";
    case Launcher::open_mpi:
      return "mpirun (Open MPI)";
    case Launcher::hydra:
      return "mpiexec (MPICH)";
    case Launcher::slurm:
      return "srun";
  }
  return "none";
}

JobEnv read_job_env(const Environment& environment) {
  JobEnv env;
  env.launcher = launcher_of(environment);
  read_ranks(environment, env);
  read_slurm(environment, env);
  env.gpus = visible_gpus(environment);
  env.user = first_of(environment, {"USER", "LOGNAME", "SLURM_JOB_USER"});
  return env;
}

std::optional<std::string> launcher_disagreement(const JobEnv& env, int mpi_size) {
  if (!env.size || *env.size == mpi_size) return std::nullopt;
  std::string text = std::string(to_string(env.launcher)) + " started " + std::to_string(*env.size) + " processes, but MPI sees " +
                     std::to_string(mpi_size) + ": each would open a store of its own. ";
  if (env.launcher == Launcher::slurm)
    text += "Start the job with `srun --mpi=pmix` (`srun --mpi=list` shows what this Slurm offers), or with mpirun.";
  else
    text += "Start the job with the mpirun of the MPI that the program is built with.";
  return text;
}

std::string job_name(const JobEnv& env) {
  return env.array ? env.array->job_id + "_" + env.array->task_id : env.job_id;
}

std::string scratch_name(const JobEnv& env) {
  std::string name = env.user.empty() ? "uid" + std::to_string(::getuid()) : env.user;
  name += "-tarn";
  if (!env.job_id.empty()) name += "-" + env.job_id;
  return name;
}

}  // namespace tarn::job
