#include "job/job_env.hpp"

#include <unistd.h>

#include <charconv>
#include <initializer_list>

#include "job/node_list.hpp"

namespace tarn::job {

namespace {

template <class Number>
std::optional<Number> number_of(const Environment& environment, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const std::string_view text = value_of(environment, name);
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size() && value >= 0) return value;
  }
  return std::nullopt;
}

std::string first_of(const Environment& environment, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    if (const auto text = value_of(environment, name); !text.empty()) return std::string(text);
  return {};
}

Launcher launcher_of(const Environment& environment) {
  if (environment.contains("OMPI_COMM_WORLD_SIZE")) return Launcher::open_mpi;
  // srun sets PMI_* as well (--mpi=pmi2), mpiexec of MPICH below Slurm keeps SLURM_* of its proxies: only hydra names MPI_LOCALNRANKS.
  if (environment.contains("PMI_SIZE") && (environment.contains("MPI_LOCALNRANKS") || !environment.contains("SLURM_STEP_ID"))) return Launcher::hydra;
  if (environment.contains("SLURM_STEP_ID") && environment.contains("SLURM_PROCID")) return Launcher::slurm;
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
    case Launcher::slurm:
      env.size = number_of<int>(environment, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
      env.rank = number_of<int>(environment, {"SLURM_PROCID"});
      env.local_rank = number_of<int>(environment, {"SLURM_LOCALID"});
      break;
    case Launcher::none:
      break;
  }
}

void read_slurm(const Environment& environment, JobEnv& env) {
  env.job_id = first_of(environment, {"SLURM_JOB_ID", "SLURM_JOBID"});
  env.in_slurm = !env.job_id.empty();
  if (!env.in_slurm) return;
  env.step_id = first_of(environment, {"SLURM_STEP_ID"});
  env.restart_count = number_of<int>(environment, {"SLURM_RESTART_COUNT"}).value_or(0);
  env.cpus_per_task = number_of<unsigned>(environment, {"SLURM_CPUS_PER_TASK"});
  env.end_time_s = number_of<std::int64_t>(environment, {"SLURM_JOB_END_TIME"});
  // Below mpirun the step is the one of its daemons.
  const bool step = env.launcher == Launcher::slurm;
  const std::string nodes = step ? first_of(environment, {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"})
                                 : first_of(environment, {"SLURM_JOB_NODELIST", "SLURM_NODELIST"});
  env.nodes = expand_node_list(nodes).value_or(std::vector<std::string>{});
  if (step) {
    const std::string counts = first_of(environment, {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"});
    env.tasks_per_node = expand_task_counts(counts).value_or(std::vector<unsigned>{});
    const auto node = number_of<std::size_t>(environment, {"SLURM_NODEID"});
    if (node && *node < env.tasks_per_node.size()) env.local_size = static_cast<int>(env.tasks_per_node[*node]);
  }
}

}  // namespace

Environment current_environment() {
  Environment result;
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

std::string_view value_of(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string_view() : std::string_view(found->second);
}

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
  env.gpus = first_of(environment, {"SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"});
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

std::string scratch_name(const JobEnv& env) {
  std::string name = env.user.empty() ? "uid" + std::to_string(::getuid()) : env.user;
  name += "-tarn";
  if (!env.job_id.empty()) name += "-" + env.job_id;
  return name;
}

}  // namespace tarn::job
