// job_env.hpp - who started this process, as what, in which job: the environment of launchers as one struct.
// Level 2 (job). Pure but for current_environment().
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::job {

using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of this process's environment.
[[nodiscard]] Environment current_environment();
/// The value, or an empty text.
[[nodiscard]] std::string_view value_of(const Environment& environment, std::string_view name);

/// What made this process one of several.
enum class Launcher : std::uint8_t {
  none,      ///< started by hand, or by a batch script itself
  open_mpi,  ///< mpirun of Open MPI, also below Slurm
  hydra,     ///< mpiexec of MPICH and its relatives (PMI)
  slurm,     ///< srun
};
[[nodiscard]] std::string_view to_string(Launcher launcher) noexcept;

struct JobEnv {
  Launcher launcher = Launcher::none;
  // What the launcher says; MPI tells the truth, and a difference means that they do not know each other.
  std::optional<int> size;
  std::optional<int> rank;
  std::optional<int> local_rank;  ///< among the ranks of this node
  std::optional<int> local_size;

  bool in_slurm = false;
  std::string job_id;  ///< of Slurm, as "1234" (an array's task has an id of its own)
  std::string step_id;
  int restart_count = 0;                   ///< a requeued job keeps its id
  std::vector<std::string> nodes;          ///< of the step, else of the job; for display: topology comes from MPI
  std::vector<unsigned> tasks_per_node;    ///< of the step
  std::optional<unsigned> cpus_per_task;   ///< as asked for
  std::optional<std::int64_t> end_time_s;  ///< since the Unix epoch; Slurm 23.02 and later
  std::string gpus;                        ///< ids as the launcher wrote them: for the log only
  std::string user;
};

/// Under mpirun inside Slurm the launcher is mpirun: it starts its daemons by srun, so SLURM_PROCID and the
/// step's counts describe those. A malformed variable counts as missing.
[[nodiscard]] JobEnv read_job_env(const Environment& environment);

/// The error text when a communicator of `mpi_size` ranks was meant to hold all processes and the launcher started
/// more or fewer: N separate singletons instead of one job. nullopt: they agree, or nothing is known.
[[nodiscard]] std::optional<std::string> launcher_disagreement(const JobEnv& env, int mpi_size);

/// Name of this job's own directory: "USER-tarn-JOBID", or "USER-tarn" outside of a job.
[[nodiscard]] std::string scratch_name(const JobEnv& env);

}  // namespace tarn::job
