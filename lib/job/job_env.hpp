// job_env.hpp - who started this process, as what, in which job: the environment of launchers as one struct.
// Level 2 (job). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "job/environment.hpp"

namespace tarn::job {

/// What made this process one of several.
enum class Launcher : std::uint8_t {
  none,      ///< started by hand, or by a batch script itself
  open_mpi,  ///< mpirun of Open MPI, also below Slurm
  hydra,     ///< mpiexec of MPICH and its relatives (PMI)
  slurm,     ///< srun
};
[[nodiscard]] std::string_view to_string(Launcher launcher) noexcept;

/// Where in a job of Slurm this process is.
enum class SlurmPlace : std::uint8_t {
  none,   ///< not in a job
  batch,  ///< the batch script, the shell of salloc, or what these start without srun, as mpirun does
  step,   ///< a task of a step: started by srun
};

/// The task of a job array. Slurm gives each an id of its own (JobEnv::job_id); users name it "JOB_TASK".
struct ArrayTask {
  std::string job_id;
  std::string task_id;
  friend bool operator==(const ArrayTask&, const ArrayTask&) = default;
};

struct JobEnv {
  Launcher launcher = Launcher::none;
  // What the launcher says; MPI tells the truth, and a difference means that they do not know each other.
  std::optional<int> size;
  std::optional<int> rank;
  std::optional<int> local_rank;  ///< among the ranks of this node
  std::optional<int> local_size;

  SlurmPlace place = SlurmPlace::none;
  std::string job_id;                      ///< of Slurm, as "1234"; of a het job the first component's, so that all have the same
  std::optional<ArrayTask> array;          ///< nullopt: no array
  unsigned het_groups = 0;                 ///< components of a het job; 0: an ordinary one
  std::string step_id;                     ///< empty but in a step
  int restart_count = 0;                   ///< a requeued job keeps its id
  std::vector<std::string> nodes;          ///< of the step, else of the job (all components); for display: topology comes from MPI
  std::vector<unsigned> tasks_per_node;    ///< of the step, by its nodes
  std::optional<unsigned> cpus_per_task;   ///< as asked for
  std::optional<std::int64_t> end_time_s;  ///< since the Unix epoch; Slurm 23.02 and later (else: deadline.hpp)
  std::vector<std::string> gpus;           ///< that this process may use, as their libraries count them: for the log only
  std::string slurm_gpus;                  ///< Slurm's ids of the step's or job's GPUs on this node, as written: for the log only
  std::string user;

  [[nodiscard]] bool in_slurm() const noexcept { return place != SlurmPlace::none; }
};

/// Under mpirun inside Slurm the launcher is mpirun: it starts its daemons by srun, and what they inherit (SLURM_PROCID, SLURM_STEP_*)
/// describes those, on other nodes than its own. It is passed over. A malformed variable counts as missing.
[[nodiscard]] JobEnv read_job_env(const Environment& environment);

/// The error text when a communicator of `mpi_size` ranks was meant to hold all processes and the launcher started
/// more or fewer: N separate singletons instead of one job. nullopt: they agree, or nothing is known.
[[nodiscard]] std::optional<std::string> launcher_disagreement(const JobEnv& env, int mpi_size);

/// The job as users and Slurm's commands name it: "1234", of an array's task "1230_4"; empty outside of a job.
[[nodiscard]] std::string job_name(const JobEnv& env);

/// Name of this job's own directory: "USER-tarn-JOBID", or "USER-tarn" outside of a job.
[[nodiscard]] std::string scratch_name(const JobEnv& env);

}  // namespace tarn::job
